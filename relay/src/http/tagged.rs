//! Answers with an entity tag (RFC 9110, section 8.8.3): whoever has them already is not sent them again.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::chance;

/// Returns the tag of a body. It is weak, because a body is sent compressed or as it is.
pub(super) fn tag(body: &[u8]) -> HeaderValue {
    let tag = format!("W/\"{}\"", chance::hex(&Sha256::digest(body)[..16]));
    HeaderValue::try_from(tag).expect("hex is a header's value")
}

/// Answers with a body of this tag, unless whoever asks has it.
pub(super) fn tagged(body: Bytes, tag: &HeaderValue, kind: &'static str, asked: &HeaderMap) -> Response {
    let mut response =
        if has(asked, tag) { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ETAG, tag.clone());
    response
}

/// Tells whether whoever asks has what this tag is of (RFC 9110, section 13.1.2).
pub(super) fn has(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let known = opaque(tag.as_bytes());
    let lists = asked.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = lists.flat_map(|tags| tags.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || opaque(tag) == known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_it_is_not_sent_it_again() {
        let own = tag(b"a page");
        let answered = |asked: &[&str]| {
            let asked =
                asked.iter().map(|tags| (header::IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap()));
            tagged(Bytes::from_static(b"a page"), &own, "text/html", &asked.collect()).status()
        };
        let text = own.to_str().unwrap();
        let strong = text.trim_start_matches("W/");
        for known in [text, strong, "*", &format!("\"other\" , {text}")] {
            assert_eq!(answered(&[known]), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(answered(&["\"other\"", text]), StatusCode::NOT_MODIFIED);
        for other in ["", "\"other\"", "W/\"other\"", strong.trim_matches('"')] {
            assert_eq!(answered(&[other]), StatusCode::OK, "{other}");
        }
        assert_eq!(answered(&[]), StatusCode::OK);
        assert_ne!(tag(b"another page"), own);
    }
}
