//! The router: a table of contents, grouped by who calls.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue, Method, Request, StatusCode, Uri,
        header::{ORIGIN, RETRY_AFTER},
    },
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use hyper::body::Incoming;
use tower::Service;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::mcp::Mcp;
use super::{
    Problem, account, ads, agents, analytics, answers, caller, channels, disputes, door, downloads, entries,
    estimates, groups, lost, mcp, models, openapi, operator, pairings, passes, payouts, phones, plugins,
    premium, public, receipts, refusals, shows, site, statements, status, switches, teams, thumbs, top_ups,
    whole,
};
use crate::{house::House, replay::REPLAYED};

/// The routes, twice: most programs are no browsers and need no word about origins.
#[derive(Debug, Clone)]
pub struct Routes {
    plain: Router,
    browsers: Router,
}

impl Routes {
    /// Builds every route, without the operator's if he has a listener of his own.
    pub fn new(house: Arc<House>) -> Routes {
        let tools = tools(&house);
        let routes = if house.config.operator_listen.is_some() {
            let elsewhere = from_fn_with_state(Arc::clone(&house), door::elsewhere);
            everyones().merge(shared().route_layer(elsewhere))
        } else {
            everyones().merge(operators(&house))
        };
        Routes::of(house, routes.merge(tools))
    }

    /// Builds the operator's routes.
    pub fn operator(house: Arc<House>) -> Routes {
        let routes = operators(&house).merge(operators_page());
        Routes::of(house, routes)
    }

    fn of(house: Arc<House>, routes: Router<Arc<House>>) -> Routes {
        let (cors, everyones) =
            (cors(&house), from_fn_with_state(Arc::clone(&house), caller::everyones_page));
        let plain = finished(routes, house);
        Routes { browsers: plain.clone().layer(everyones).layer(cors), plain }
    }

    /// Answers a request.
    pub async fn call(&self, request: Request<Incoming>) -> Response {
        let from_page = request.headers().contains_key(ORIGIN);
        let mut router = if from_page { self.browsers.clone() } else { self.plain.clone() };
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// The operator's routes, with those that others have too.
fn operators(house: &Arc<House>) -> Router<Arc<House>> {
    let own = Router::new()
        .route("/api/gpu/register", post(operator::register_upstream))
        .route("/api/operator/grants", post(operator::grant))
        .route("/api/operator/corrections", post(operator::correct))
        .route("/api/operator/verified", post(operator::verify))
        .route("/api/operator/switches", get(switches::list))
        .route("/api/operator/switches/{feature}", put(switches::turn))
        .route("/api/operator/log", get(operator::log))
        .route("/api/operator/entries", get(entries::anybodys))
        .route("/api/operator/disputes", get(disputes::list))
        .route("/api/operator/disputes/{job}", get(disputes::one))
        .route("/api/operator/disputes/{job}/{step}", post(disputes::step))
        .route("/api/operator/payouts", get(payouts::under_way))
        .route("/api/operator/payouts/{payout}/approve", post(payouts::approve))
        .route("/api/operator/payouts/{payout}/cancel", post(payouts::refuse))
        .route("/api/operator/payouts/{payout}/settle", post(payouts::settle))
        .route("/api/analytics/revenue", get(analytics::revenue))
        .route_layer(from_fn(whole::whole))
        .route_layer(from_fn_with_state(Arc::clone(house), door::own));
    own.merge(shared().route_layer(from_fn_with_state(Arc::clone(house), door::shared)))
}

/// What the operator's page needs beside them on a listener of its own.
fn operators_page() -> Router<Arc<House>> {
    Router::new()
        .route("/api/plugin/stats", get(plugins::stats))
        .route("/healthz", get(status::health))
        .route("/metrics", get(status::metrics))
        .route("/client/{file}", get(site::client))
        .route("/{file}", get(site::file))
}

/// Routes of the operator's and of others, each of whom sees what is its own.
fn shared() -> Router<Arc<House>> {
    Router::new()
        .route("/api/jobs/{job}/receipt", get(receipts::receipt))
        .route("/api/analytics/usage", get(analytics::usage))
        .route("/api/ads/campaigns", get(ads::list))
        .route("/api/ads/campaigns", post(ads::create))
        .route("/api/ads/campaigns/{id}", get(ads::one))
        .route("/api/ads/campaigns/{id}", patch(ads::change))
        .route("/api/ads/campaigns/{id}/report", get(ads::report))
        .route_layer(from_fn(whole::whole))
}

/// Everybody else's. Who asks for an answer and leaves wants none any more; every other call that changes
/// something is done whole.
fn everyones() -> Router<Arc<House>> {
    let owners = Router::new()
        .route("/api/plugin/register", post(plugins::register))
        .route("/api/plugin/connect", get(plugins::connect))
        .route("/api/plugin/challenge", post(passes::challenge))
        .route("/api/plugin/pass", post(passes::pass))
        .route("/api/plugin/pairing/{plugin}", get(pairings::whose))
        .route("/api/plugin/pairing/{plugin}", post(pairings::join))
        .route("/api/plugin/pairing/{plugin}", delete(pairings::leave))
        .route("/api/plugin/phones/{plugin}", get(phones::list))
        .route("/api/plugin/phones/{plugin}/code", post(phones::open))
        .route("/api/plugin/phones/{plugin}/{phone}", delete(phones::put_out))
        .route("/api/phone", post(phones::pair))
        .route("/api/phone", get(phones::see))
        .route("/api/phone", delete(phones::leave))
        .route("/api/phone/pause", post(phones::pause))
        .route("/api/phone/price", post(phones::price))
        .route("/api/phone/payout", post(phones::payout))
        .route("/api/plugin/earnings/{plugin}", get(plugins::earnings))
        .route("/api/plugin/statements/{plugin}/{month}", get(statements::of_owner))
        .route("/api/plugin/payouts/{plugin}", get(payouts::list))
        .route("/api/plugin/payouts/{plugin}", post(payouts::ask))
        .route("/api/plugin/payouts/{plugin}/method", get(payouts::method))
        .route("/api/plugin/payouts/{plugin}/method", put(payouts::set_method))
        .route("/api/plugin/disputes/{plugin}", get(disputes::about))
        .route("/api/plugin/outlook/{plugin}", get(plugins::outlook))
        .route("/api/plugin/channel/{plugin}", get(channels::own))
        .route("/api/plugin/channel/{plugin}", put(channels::open))
        .route("/api/plugin/channel/{plugin}", delete(channels::close))
        .route("/api/plugin/group/{plugin}", get(groups::of_plugin))
        .route("/api/plugin/group/{plugin}", post(groups::create))
        .route("/api/plugin/group/{plugin}", put(groups::set_price))
        .route("/api/plugin/group/{plugin}", delete(groups::leave))
        .route("/api/plugin/group/{plugin}/code", post(groups::turn))
        .route("/api/plugin/group/{plugin}/join", post(groups::join))
        .route("/api/plugin/group/{plugin}/agreed", post(groups::agree))
        .route("/api/plugin/group/{plugin}/members/{member}", delete(groups::put_out))
        .route("/api/plugin/payouts/{plugin}/method", delete(payouts::remove_method))
        .route("/api/plugin/payouts/{plugin}/{payout}", delete(payouts::cancel));

    let askers = Router::new()
        .route("/api/llm/inference", post(answers::inference))
        .route("/v1/chat/completions", post(answers::chat))
        .route("/v1/completions", post(answers::completion))
        .route("/v1/embeddings", post(answers::embedding))
        .route("/v1/responses", post(answers::response))
        .route("/api/agents/rate", post(agents::rate))
        .route_layer(from_fn(refusals::counted));

    let pages = Router::new()
        .route("/api/agents/objectives", post(agents::put))
        .route("/api/agents/objectives", get(agents::list))
        .route("/api/agents/objectives/{project}", get(agents::one))
        .route("/api/agents/objectives/{project}", delete(agents::remove))
        .route("/api/llm/inference/{job}", delete(answers::cancel))
        .route("/api/llm/estimate", post(estimates::estimate))
        .route("/api/llm/models", get(models::own))
        .route("/api/jobs/{job}/thumb", put(thumbs::put))
        .route("/api/account/statements/{month}", get(account::statement))
        .route("/api/ads/statements/{month}", get(statements::of_advertiser))
        .route("/api/account", get(account::account))
        .route("/api/account/entries", get(entries::own))
        .route("/api/account/disputes", post(disputes::open))
        .route("/api/account/disputes", get(disputes::own))
        .route("/api/account/keys", post(account::create_key))
        .route("/api/account/keys", get(account::keys))
        .route("/api/account/keys/{prefix}", delete(account::revoke_key))
        .route("/api/account/pairings", post(pairings::open))
        .route("/api/account/plugins", get(pairings::list))
        .route("/api/account/plugins/{plugin}", patch(pairings::rename))
        .route("/api/account/plugins/{plugin}", delete(pairings::let_go))
        .route("/api/account/plugins/{plugin}/key", delete(pairings::revoke))
        .route("/api/account/groups", post(groups::join_as_page))
        .route("/api/account/groups/{group}", delete(groups::leave_as_page))
        .route("/api/account/team", get(teams::own))
        .route("/api/account/team", post(teams::found))
        .route("/api/account/team", put(teams::join))
        .route("/api/account/team", delete(teams::leave))
        .route("/api/account/team/code", post(teams::turn))
        .route("/api/account/team/members/{member}", delete(teams::put_out))
        .route("/api/account/top-ups", post(top_ups::open))
        .route("/api/account/premium", put(premium::put))
        .route("/v1/models", get(models::openai))
        .route("/v1/models/{*model}", get(models::openai_one));

    let readers = Router::new()
        .route("/api/ads/impressions", post(ads::seen))
        .route("/ad/click/{token}", get(ads::click));

    let anyone = Router::new()
        .route("/api/public/jobs", get(public::index))
        .route("/api/public/jobs/{file}", get(public::hour))
        .route("/.well-known/rekursing-receipts", get(receipts::keys))
        .route("/api/plugin/stats", get(plugins::stats))
        .route("/api/live", get(channels::live))
        .route("/api/live/leaders", get(channels::leaders))
        .route("/api/live/followed", get(channels::followed))
        .route("/api/live/channels/{plugin}", get(channels::one))
        .route("/api/live/channels/{plugin}/follower", put(channels::follow))
        .route("/api/live/channels/{plugin}/follower", delete(channels::unfollow))
        .route("/api/stripe/webhook", post(top_ups::webhook))
        .route("/healthz", get(status::health))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/download", get(downloads::page))
        .route("/download/updates.xml", get(downloads::updates))
        .route("/download/{file}", get(downloads::file))
        .route("/", get(site::index))
        .route("/live", get(shows::live))
        .route("/live/{plugin}", get(shows::channel))
        .route("/models", get(shows::models))
        .route("/client/{file}", get(site::client))
        .route("/{file}", get(site::file));

    let others = owners.merge(pages).merge(readers).merge(anyone);
    others.route_layer(from_fn(whole::whole)).merge(askers)
}

/// Everybody's routes as they are asked, for tests.
#[cfg(test)]
pub(super) fn everybodys(house: &Arc<House>) -> Router {
    finished(everyones(), Arc::clone(house))
}

/// The routes as tools for agents, which are asked as everybody asks them.
fn tools(house: &Arc<House>) -> Router<Arc<House>> {
    let mcp = Arc::new(Mcp::new(Arc::clone(house), finished(everyones(), Arc::clone(house))));
    Router::new()
        .route("/mcp", post(mcp::post))
        .route("/mcp", get(mcp::listen))
        .route("/mcp", delete(mcp::end))
        .with_state(mcp)
}

/// Answers what is no route.
fn finished(routes: Router<Arc<House>>, house: Arc<House>) -> Router {
    routes
        .fallback(async |uri: Uri| {
            let message = "there is no such route";
            refuse(Problem::new(StatusCode::NOT_FOUND, "not_found", message), &uri)
        })
        .method_not_allowed_fallback(async |uri: Uri| {
            let message = "this route does not take this method";
            refuse(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message), &uri)
        })
        .layer(from_fn(lost::page))
        .with_state(house)
}

/// Answers with a problem in the words of its route.
pub(super) fn refuse(problem: Problem, uri: &Uri) -> Response {
    if uri.path().starts_with("/v1/") { problem.into_openai() } else { problem.into_response() }
}

fn cors(house: &Arc<House>) -> CorsLayer {
    let named = HeaderName::from_static;
    let house = Arc::clone(house);
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, asked| {
        let is_known = |origin| caller::is_named(&house, origin) || caller::is_extension(&house, origin);
        caller::is_everyones(&house, asked.uri.path()) || origin.to_str().is_ok_and(is_known)
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        // SDKs send headers of their own. None of a request's headers has a right that its origin has not.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            RETRY_AFTER,
            REPLAYED,
            mcp::SESSION,
            named("x-rekursing-job"),
            named("x-request-id"),
            named("x-rekursing-receipt"),
        ])
        .max_age(Duration::from_secs(3_600))
}
