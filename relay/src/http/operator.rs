//! The operator's routes.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use rekursing_protocol::register::{Registered, Registration};

use super::{Problem, caller, plugins, posted::Posted};
use crate::{
    house::House,
    store,
    upstream::{self, Spec},
};

/// `POST /api/gpu/register`
pub(super) async fn register_upstream(
    State(house): State<Arc<House>>,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    caller::operator(&house, &headers)?;
    let spec: Spec = plugins::read(&body)?;
    let spec = spec.check().map_err(|(field, message)| Problem::field(field, message))?;
    // The same address again is the same upstream with other settings; its earnings stay its own.
    let plugin_id = house.upstreams.at(&spec.url).unwrap_or_else(|| house.plugin_id());
    let registration = Registration { name: spec.name.clone(), gpu: spec.gpu(), models: Vec::new() };
    let body = serde_json::to_string(&spec).map_err(|_| Problem::internal())?;
    let stored = store::Upstream { plugin: plugin_id, body };
    house.desk.store().put_upstream(house.desk.now(), stored).await.map_err(|error| {
        tracing::error!(%error, "could not store an upstream");
        Problem::internal()
    })?;
    let secret = plugins::put(&house, plugin_id, &registration).await?;
    upstream::start(&house, plugin_id, spec);
    Ok((StatusCode::CREATED, Json(Registered { plugin_id, secret })))
}
