//! The pages, embedded in the program.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Problem, posted::Named};

/// What a page of ours may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! file {
    ($name:literal, $kind:literal) => {
        ($name, $kind, include_bytes!(concat!("../../../site/", $name)).as_slice())
    };
}

/// Every file of the site.
const FILES: &[(&str, &str, &[u8])] = &[
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
    file!("keys.js", "text/javascript; charset=utf-8"),
    file!("live.js", "text/javascript; charset=utf-8"),
    file!("models.js", "text/javascript; charset=utf-8"),
    file!("money.js", "text/javascript; charset=utf-8"),
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
    file!("usage.js", "text/javascript; charset=utf-8"),
    file!("watch.js", "text/javascript; charset=utf-8"),
    file!("write.js", "text/javascript; charset=utf-8"),
];

/// `GET /`
pub(super) async fn index() -> Response {
    serve("index.html")
}

/// `GET /{file}`
pub(super) async fn file(name: Named) -> Response {
    match name {
        Ok(Path(name)) => serve(&name),
        Err(rejection) => Problem::from(rejection).into_response(),
    }
}

/// `GET /client/{file}`, which a page of any origin may import.
pub(super) async fn client(name: Named) -> Response {
    let Path(name) = match name {
        Ok(name) => name,
        Err(rejection) => return Problem::from(rejection).into_response(),
    };
    let mut response = serve(&format!("client/{name}"));
    let everyone = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, everyone);
    response
}

fn serve(name: &str) -> Response {
    let Some((_, kind, bytes)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here").into_response();
    };
    let mut response = (*bytes).into_response();
    set(response.headers_mut(), kind);
    response
}

fn set(headers: &mut HeaderMap, kind: &'static str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    guard(headers);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// Keeps a page of ours to its policy.
pub(super) fn guard(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
