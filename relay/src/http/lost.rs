//! What a browser shows where there is nothing, or nothing now: a page for whoever reads, while programs
//! get the problem in JSON.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use maud::html;
use serde_json::Value;

use super::shows;

/// Longest problem that is read again for its sentence.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// Answers with a page in the stead of a problem, where a reader has followed a link.
pub(super) async fn page(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_programs = ["/api/", "/v1/", "/mcp", "/.well-known/"].iter().any(|of| path.starts_with(of));
    if is_programs || ![Method::GET, Method::HEAD].contains(request.method()) {
        return next.run(request).await;
    }
    let wants_page = prefers_html(request.headers());
    let mut response = next.run(request).await;
    let status = response.status();
    // What has a page of its own for this keeps it.
    let is_problem =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    if !wants_page {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let problem = to_bytes(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&problem).unwrap_or_default();
    let said = problem["error"]["message"].as_str().unwrap_or("there is nothing here");
    let page = written(status, &sentence(said));
    parts.headers.remove(header::CONTENT_LENGTH);
    let (page, body) = page.into_parts();
    parts.headers.extend(page.headers);
    Response::from_parts(parts, body)
}

fn written(status: StatusCode, sentence: &str) -> Response {
    let title = if status == StatusCode::NOT_FOUND { "Nothing here" } else { "This did not work" };
    let body = html! {
        p { (sentence) }
        p {
            "Go on to the " a href="/" { "chat" } ", see " a href="/live" { "who is on" } ", or look at the "
            a href="/models" { "models" } "."
        }
    };
    shows::page(title, "", "/told.js", &body)
}

/// Makes a sentence of what a problem says.
fn sentence(said: &str) -> String {
    let mut letters = said.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    let end = if said.ends_with(['.', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Tells whether a page is named among what is wanted, and nothing that programs read is wanted more.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let mut html = 0.0_f32;
    let mut json = 0.0_f32;
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for one in lines.flat_map(|line| line.split(',')) {
        let mut parts = one.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        if kind.eq_ignore_ascii_case("text/html") {
            html = weight;
        } else if kind.eq_ignore_ascii_case("application/json") {
            json = weight;
        }
    }
    html > json
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::Service;

    use super::*;
    use crate::{config::Config, http::router, relay};

    #[test]
    fn only_whoever_names_a_page_and_wants_it_most_gets_one() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_html(&headers)
        };
        assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(wants("application/json;q=0.5, text/html;q=0.9"));
        for programs in ["*/*", "application/json", "application/json, text/html;q=0.9", "text/html;q=0", ""]
        {
            assert!(!wants(programs), "{programs}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_reader_who_finds_nothing_gets_a_page_and_a_program_the_problem() {
        const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let folder = tempfile::tempdir().unwrap();
        let house = relay::open(Config::parse(&format!("data_dir = {:?}", folder.path())).unwrap()).unwrap();
        let routes = router::everybodys(&house);
        let ask = async |path: &str, accept: &str| {
            let request = Request::builder().uri(path).header(header::ACCEPT, accept);
            let response = routes.clone().call(request.body(Body::empty()).unwrap()).await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            let body = to_bytes(response.into_body(), PROBLEM_BYTES_MAX).await.unwrap();
            (status, headers, String::from_utf8(body.into()).unwrap())
        };
        let channel = "/live/plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM";
        for path in ["/nope", "/no/such/page", channel, "/download/nope.crx", "/client/nope.js"] {
            let (status, headers, page) = ask(path, BROWSER).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
            assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
            assert_eq!(headers[header::VARY], "accept", "{path}");
            for part in ["<title>Nothing here", "href=\"/\"", "href=\"/live\"", "href=\"/models\""] {
                assert!(page.contains(part), "{path}: {part}");
            }
            let (status, headers, problem) = ask(path, "*/*").await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/json", "{path}");
            assert_eq!(serde_json::from_str::<Value>(&problem).unwrap()["success"], false, "{path}");
        }
        let (status, headers, _) = ask("/api/nope", BROWSER).await;
        assert_eq!(
            (status, &headers[header::CONTENT_TYPE]),
            (StatusCode::NOT_FOUND, &"application/json".parse().unwrap())
        );
        let (status, _, page) = ask("/live", BROWSER).await;
        assert!(status == StatusCode::OK && !page.contains("Nothing here"));
        let store = house.desk.store().clone();
        tokio::task::spawn_blocking(move || store.stop()).await.unwrap();
    }

    #[test]
    fn what_a_problem_says_is_a_sentence() {
        assert_eq!(sentence("there is nothing here"), "There is nothing here.");
    }
}
