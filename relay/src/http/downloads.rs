//! `/download`: the extension, from the relay itself.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use super::{
    Problem, caller, lost,
    posted::{Named, Shared},
    site, tagged,
};
use crate::{
    downloads::{Package, Version},
    house::House,
};

const PAGE: &str = include_str!("../../../site/download.html");

/// What stands there where nothing is handed out.
const NO_PAGE: &str = include_str!("../../../site/no-download.html");

/// `GET /download`
pub(super) async fn page(State(house): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let package = match newest(&house).await {
        Ok(package) => package,
        Err(nothing) if !lost::prefers_html(&headers) => return Err(nothing),
        Err(_) => {
            let mut response = Bytes::from_static(NO_PAGE.as_bytes()).into_response();
            *response.status_mut() = StatusCode::NOT_FOUND;
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
            site::guard(response.headers_mut());
            return Ok(response);
        }
    };
    let address = address(&house, &headers);
    let kib = package.crx.len().div_ceil(1_024);
    let mut page = PAGE.to_owned();
    for (name, value) in [
        ("{version}", package.version.to_string()),
        ("{kib}", kib.to_string()),
        ("{id}", package.id.clone()),
        ("{updates}", format!("{address}/download/updates.xml")),
    ] {
        page = page.replace(name, &escaped(&value));
    }
    let mut response = conditional(Bytes::from(page), "text/html; charset=utf-8", &headers);
    site::guard(response.headers_mut());
    Ok(response)
}

/// `GET /download/updates.xml`, what Chrome asks for in a form that it has had since long before CRX3.
pub(super) async fn updates(State(house): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let package = newest(&house).await?;
    let address = escaped(&address(&house, &headers));
    let (id, version) = (&package.id, package.version);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <gupdate xmlns=\"http://www.google.com/update2/response\" protocol=\"2.0\">\n  \
         <app appid=\"{id}\">\n    \
         <updatecheck codebase=\"{address}/download/rekursing-{version}.crx\" version=\"{version}\"/>\n  \
         </app>\n\
         </gupdate>\n"
    );
    Ok(conditional(Bytes::from(body), "text/xml; charset=utf-8", &headers))
}

/// `GET /download/{file}`
pub(super) async fn file(State(house): Shared, name: Named, headers: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = name?;
    house.downloads.refresh(house.desk.now()).await;
    let find = |ending| Version::of_file(&name, ending).and_then(|version| house.downloads.find(version));
    let (package, part, kind) = if let Some(package) = find(".crx") {
        (Arc::clone(&package), package.crx.clone(), "application/x-chrome-extension")
    } else if let Some(package) = find(".zip") {
        (Arc::clone(&package), package.zip.clone(), "application/zip")
    } else {
        return Err(nothing());
    };
    let tag = HeaderValue::try_from(format!("\"{}\"", package.hash)).map_err(|_| Problem::internal())?;
    Ok(tagged::tagged(part, &tag, kind, &headers))
}

async fn newest(house: &House) -> Result<Arc<Package>, Problem> {
    house.downloads.refresh(house.desk.now()).await;
    house.downloads.newest().ok_or_else(nothing)
}

fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such download here")
}

/// Returns the relay's own address, without a slash at its end: the one that was called where it is one of
/// `origins` or has no name that somebody could own, the first of `origins` otherwise.
fn address(house: &House, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let called = ["https", "http"].map(|scheme| format!("{scheme}://{host}"));
    if let Some(named) = called.iter().find(|origin| caller::is_named(house, origin)) {
        return named.clone();
    }
    match house.config.origins.iter().find(|origin| *origin != caller::EVERY_ORIGIN) {
        Some(first) if !caller::is_nobodys(host) => first.trim_end_matches('/').to_owned(),
        Some(_) | None => format!("http://{host}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn conditional(body: Bytes, kind: &'static str, asked: &HeaderMap) -> Response {
    let tag = tagged::tag(&body);
    tagged::tagged(body, &tag, kind, asked)
}
