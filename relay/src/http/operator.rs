//! The operator's routes.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use rekursing_protocol::register::{Registered, Registration};

use super::{Problem, caller, plugins};
use crate::{
    house::House,
    store,
    upstream::{self, Spec},
};

/// `POST /api/gpu/register`
pub(super) async fn register_upstream(
    State(house): State<Arc<House>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    caller::operator(&house, &headers)?;
    let spec: Spec = plugins::read(&body)?;
    let spec = spec.check().map_err(|(field, message)| Problem::field(field, message))?;
    let plugin_id = house.plugin_id();
    let registration = Registration { name: spec.name.clone(), gpu: spec.gpu(), models: Vec::new() };
    let body = serde_json::to_string(&spec).map_err(|_| Problem::internal())?;
    house.desk.store().add_upstream(house.desk.now(), store::Upstream { plugin: plugin_id, body });
    let secret = plugins::add(&house, plugin_id, &registration).await;
    upstream::start(&house, plugin_id, spec);
    Ok((StatusCode::CREATED, Json(Registered { plugin_id, secret })))
}
