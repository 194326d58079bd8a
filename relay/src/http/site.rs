//! The pages, embedded in the program.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Problem, document::Document, posted::Named};

/// What a page of ours may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! file {
    ($name:literal, $kind:literal) => {
        ($name, Document::new($kind, include_bytes!(concat!("../../../site/", $name))))
    };
}

/// Every file of the site.
static FILES: [(&str, Document); 56] = [
    file!("account.html", "text/html; charset=utf-8"),
    file!("account.js", "text/javascript; charset=utf-8"),
    file!("advertise.html", "text/html; charset=utf-8"),
    file!("advertise.js", "text/javascript; charset=utf-8"),
    file!("call.js", "text/javascript; charset=utf-8"),
    file!("campaigns.js", "text/javascript; charset=utf-8"),
    file!("channel.js", "text/javascript; charset=utf-8"),
    file!("charges.js", "text/javascript; charset=utf-8"),
    file!("chat.css", "text/css; charset=utf-8"),
    file!("chat.js", "text/javascript; charset=utf-8"),
    file!("client/README.md", "text/markdown; charset=utf-8"),
    file!("client/ad.js", "text/javascript; charset=utf-8"),
    file!("client/events.js", "text/javascript; charset=utf-8"),
    file!("client/index.d.ts", "text/plain; charset=utf-8"),
    file!("client/index.js", "text/javascript; charset=utf-8"),
    file!("client/receipt.js", "text/javascript; charset=utf-8"),
    file!("client/relay.js", "text/javascript; charset=utf-8"),
    file!("colours.css", "text/css; charset=utf-8"),
    file!("conversations.js", "text/javascript; charset=utf-8"),
    file!("copy.js", "text/javascript; charset=utf-8"),
    file!("disputes.js", "text/javascript; charset=utf-8"),
    file!("door.js", "text/javascript; charset=utf-8"),
    file!("download.css", "text/css; charset=utf-8"),
    file!("entries.js", "text/javascript; charset=utf-8"),
    file!("failures.js", "text/javascript; charset=utf-8"),
    file!("favicon.svg", "image/svg+xml"),
    file!("fields.js", "text/javascript; charset=utf-8"),
    file!("follows.js", "text/javascript; charset=utf-8"),
    file!("gpus.js", "text/javascript; charset=utf-8"),
    file!("groups.js", "text/javascript; charset=utf-8"),
    file!("holder.js", "text/javascript; charset=utf-8"),
    file!("index.html", "text/html; charset=utf-8"),
    file!("kept.js", "text/javascript; charset=utf-8"),
    file!("keys.js", "text/javascript; charset=utf-8"),
    file!("live.js", "text/javascript; charset=utf-8"),
    file!("models.js", "text/javascript; charset=utf-8"),
    file!("money.js", "text/javascript; charset=utf-8"),
    file!("named.js", "text/javascript; charset=utf-8"),
    file!("operator.html", "text/html; charset=utf-8"),
    file!("operator.js", "text/javascript; charset=utf-8"),
    file!("pages.css", "text/css; charset=utf-8"),
    file!("phone-192.png", "image/png"),
    file!("phone-512.png", "image/png"),
    file!("phone.html", "text/html; charset=utf-8"),
    file!("phone.js", "text/javascript; charset=utf-8"),
    file!("phone.webmanifest", "application/manifest+json"),
    file!("prose.js", "text/javascript; charset=utf-8"),
    file!("statements.js", "text/javascript; charset=utf-8"),
    file!("team.js", "text/javascript; charset=utf-8"),
    file!("times.js", "text/javascript; charset=utf-8"),
    file!("told.js", "text/javascript; charset=utf-8"),
    file!("turn.js", "text/javascript; charset=utf-8"),
    file!("twice.js", "text/javascript; charset=utf-8"),
    file!("usage.js", "text/javascript; charset=utf-8"),
    file!("watch.js", "text/javascript; charset=utf-8"),
    file!("write.js", "text/javascript; charset=utf-8"),
];

/// `GET /`
pub(super) async fn index(headers: HeaderMap) -> Response {
    serve("index.html", &headers)
}

/// `GET /{file}`
pub(super) async fn file(name: Named, headers: HeaderMap) -> Response {
    match name {
        Ok(Path(name)) => serve(&name, &headers),
        Err(rejection) => Problem::from(rejection).into_response(),
    }
}

/// `GET /client/{file}`, which a page of any origin may import.
pub(super) async fn client(name: Named, headers: HeaderMap) -> Response {
    let Path(name) = match name {
        Ok(name) => name,
        Err(rejection) => return Problem::from(rejection).into_response(),
    };
    let mut response = serve(&format!("client/{name}"), &headers);
    let everyone = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, everyone);
    response
}

fn serve(name: &str, asked: &HeaderMap) -> Response {
    let Some((_, document)) = FILES.iter().find(|(known, _)| *known == name) else {
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here").into_response();
    };
    let mut response = document.answer(asked);
    guard(response.headers_mut());
    response
}

/// Keeps a page of ours to its policy.
pub(super) fn guard(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::Service;

    use super::*;
    use crate::{config::Config, http::router, relay};

    #[tokio::test]
    async fn text_goes_compressed_to_whoever_takes_it_so_and_not_again_to_whoever_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let house = relay::open(Config::parse(&format!("data_dir = {:?}", folder.path())).unwrap()).unwrap();
        let routes = router::everybodys(&house);
        let ask = async |path: &str, name: header::HeaderName, value: &str| {
            let request = Request::builder().uri(path).header(name, value).body(Body::empty()).unwrap();
            let response = routes.clone().call(request).await.unwrap();
            let (parts, body) = response.into_parts();
            (parts.status, parts.headers, to_bytes(body, 4 << 20).await.unwrap())
        };
        for path in ["/", "/chat.js", "/client/index.js", "/openapi.json"] {
            let (_, plain, whole) = ask(path, header::ACCEPT_ENCODING, "identity").await;
            assert_eq!(plain.get(header::CONTENT_ENCODING), None, "{path}");
            let (status, headers, packed) = ask(path, header::ACCEPT_ENCODING, "br, gzip;q=0.5").await;
            assert_eq!(
                (status, &headers[header::CONTENT_ENCODING]),
                (StatusCode::OK, &"gzip".parse().unwrap())
            );
            assert_eq!(headers[header::VARY], "accept-encoding", "{path}");
            assert!(packed.len() < whole.len(), "{path}: {} of {}", packed.len(), whole.len());
            let tag = &plain[header::ETAG];
            assert_eq!(headers[header::ETAG], tag, "{path}");
            let (status, _, body) = ask(path, header::IF_NONE_MATCH, tag.to_str().unwrap()).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        }
        for path in ["/phone-192.png", "/nope", "/live", "/api/llm/models"] {
            let (_, headers, _) = ask(path, header::ACCEPT_ENCODING, "gzip").await;
            assert_eq!(headers.get(header::CONTENT_ENCODING), None, "{path}");
        }
        let store = house.desk.store().clone();
        tokio::task::spawn_blocking(move || store.stop()).await.unwrap();
    }
}
