//! Documents: files that are part of the program. Each is compressed once, when it is asked for first.

use std::{io::Write, sync::OnceLock};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::tagged;

/// A file that is part of the program.
#[derive(Debug)]
pub(super) struct Document {
    /// Its media type.
    kind: &'static str,
    whole: &'static [u8],
    made: OnceLock<Made>,
}

/// What is made of a file once.
#[derive(Debug)]
struct Made {
    /// Its entity tag.
    tag: HeaderValue,
    /// Itself compressed; nothing of a picture, which is so already.
    packed: Option<Bytes>,
}

impl Document {
    /// Takes a file of this media type.
    pub(super) const fn new(kind: &'static str, whole: &'static [u8]) -> Document {
        Document { kind, whole, made: OnceLock::new() }
    }

    /// Answers with it, compressed for whoever takes that, and not at all for whoever has it.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let Made { tag, packed } = self.made.get_or_init(|| Made {
            tag: tagged::tag(self.whole),
            packed: (self.kind != "image/png").then(|| packed(self.whole)),
        });
        let packed = packed.as_ref().filter(|_| takes_gzip(asked));
        let is_packed = packed.is_some();
        let body = packed.cloned().unwrap_or(Bytes::from_static(self.whole));
        let mut response = tagged::tagged(body, tag, self.kind, asked);
        let is_whole = response.status() == StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if is_packed && is_whole {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn packed(whole: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(whole).and_then(|()| encoder.finish()).expect("memory takes what is written").into()
}

/// Tells whether whoever asks takes gzip (RFC 9110, section 12.5.3). Who names it not is given the file as it is.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    let mut codings = lists.flat_map(|list| list.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_gzip_says_so() {
        let takes = |list: &'static str| {
            takes_gzip(&[(header::ACCEPT_ENCODING, HeaderValue::from_static(list))].into_iter().collect())
        };
        for list in ["gzip", "br, GZIP;q=0.5", "gzip, deflate, br, zstd", "identity;q=0, gzip ; q=1"] {
            assert!(takes(list), "{list}");
        }
        for list in ["", "br", "gzip;q=0", "gzip; q=0.000, br", "x-gzip", "*"] {
            assert!(!takes(list), "{list}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
