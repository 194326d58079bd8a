//! The router: a table of contents, grouped by who calls.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{Problem, answers, caller, models, openapi, operator, plugins, site, status};
use crate::house::House;

/// Builds every route.
pub fn router(house: Arc<House>) -> Router {
    // On the method and not on the route, so that a route that is not there or takes no `POST` says
    // that first.
    let posted = middleware::from_fn_with_state(Arc::clone(&house), check);

    let owners = Router::new()
        .route("/api/plugin/register", post(plugins::register).route_layer(posted.clone()))
        .route("/api/plugin/connect", get(plugins::connect))
        .route("/api/plugin/earnings/{plugin}", get(plugins::earnings));

    let pages = Router::new()
        .route("/api/llm/inference", post(answers::inference).route_layer(posted.clone()))
        .route("/api/llm/models", get(models::own))
        .route("/v1/chat/completions", post(answers::chat).route_layer(posted.clone()))
        .route("/v1/completions", post(answers::completion).route_layer(posted.clone()))
        .route("/v1/embeddings", post(answers::embedding).route_layer(posted.clone()))
        .route("/v1/models", get(models::openai))
        .route("/v1/models/{*model}", get(models::openai_one));

    let operator =
        Router::new().route("/api/gpu/register", post(operator::register_upstream).route_layer(posted));

    let anyone = Router::new()
        .route("/api/plugin/stats", get(plugins::stats))
        .route("/healthz", get(status::health))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/", get(site::index))
        .route("/{file}", get(site::file));

    owners
        .merge(pages)
        .merge(operator)
        .merge(anyone)
        .fallback(async |uri: Uri| {
            let message = "there is no such route";
            refuse(Problem::new(StatusCode::NOT_FOUND, "not_found", message), &uri)
        })
        .method_not_allowed_fallback(async |uri: Uri| {
            let message = "this route does not take this method";
            refuse(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message), &uri)
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&house), admit))
        .layer(cors(&house))
        .with_state(house)
}

/// What every call passes: its body is there in time and no larger than it may be, and a refusal is
/// in the words of its route.
async fn admit(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    match whole(&house, request).await {
        Ok(request) => plain_refusals(next.run(request).await, &uri),
        Err(problem) => refuse(problem, &uri),
    }
}

/// Answers with a problem in the words of its route.
fn refuse(problem: Problem, uri: &Uri) -> Response {
    if uri.path().starts_with("/v1/") { problem.into_openai() } else { problem.into_response() }
}

/// Waits for a request's body.
async fn whole(house: &House, request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let limited = Limited::new(body, house.config.limits.request_bytes);
    let patience = Duration::from_millis(house.config.time.body_ms);
    let body = match tokio::time::timeout(patience, limited.collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(Problem::bad_request("the body cannot be read")),
        Err(_) => {
            let message = "the body did not come in time";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message));
        }
    };
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is too large")
}

/// What every `POST` passes: from where it comes, and in which form its body is.
async fn check(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    if let Err(problem) = caller::origin(&house, request.headers()) {
        return refuse(problem, request.uri());
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return next.run(request).await;
    }
    let message = "the body must be JSON, with Content-Type: application/json";
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
    refuse(problem, request.uri())
}

/// Puts the extractors' own plain refusals (a body too large, a path that does not decode) into the
/// route's words.
fn plain_refusals(response: Response, uri: &Uri) -> Response {
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let problem = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if !is_json => too_large(),
        StatusCode::BAD_REQUEST if !is_json => Problem::bad_request("the request cannot be read"),
        _ => return response,
    };
    refuse(problem, uri)
}

fn cors(house: &Arc<House>) -> CorsLayer {
    let house = Arc::clone(house);
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, _| {
        origin
            .to_str()
            .is_ok_and(|origin| caller::is_named(&house, origin) || caller::is_extension(&house, origin))
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([RETRY_AFTER, axum::http::HeaderName::from_static("x-rekursing-job")])
        .max_age(Duration::from_secs(3_600))
}
