//! What can be asked for at this moment.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use rekursing_market::ModelView;
use rekursing_protocol::OfferKind;
use serde_json::{Value, json};

use super::{
    Problem,
    figures::{dollars, tokens_per_second},
};
use crate::house::House;

/// `GET /api/llm/models`
pub(super) async fn own(State(house): State<Arc<House>>) -> Json<Value> {
    Json(json!({"models": views(&house)}))
}

/// Returns what can be asked for.
pub(super) fn views(house: &House) -> Vec<Value> {
    house.desk.models().iter().map(|model| view(model, house)).collect()
}

/// `GET /v1/models`
pub(super) async fn openai(State(house): State<Arc<House>>) -> Json<Value> {
    let models: Vec<Value> = house.desk.models().iter().map(|model| row(model, &house)).collect();
    Json(json!({"object": "list", "data": models}))
}

/// `GET /v1/models/{model}`
pub(super) async fn openai_one(
    State(house): State<Arc<House>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Response> {
    let Path(id) = id.map_err(|rejection| Problem::from(rejection).into_openai())?;
    let models = house.desk.models();
    let found = models.iter().find(|model| model.id == id).map(|model| Json(row(model, &house)));
    found.ok_or_else(|| {
        let refusal = rekursing_market::Refusal::ModelNotFound { model: id.chars().take(200).collect() };
        Problem::from(refusal).into_openai()
    })
}

fn view(model: &ModelView, house: &House) -> Value {
    let side = |low: u64, high: u64| json!({"min": dollars(low), "max": dollars(high)});
    json!({
        "id": model.id,
        "kind": match model.kind { OfferKind::Text => "text", OfferKind::Embedding => "embedding" },
        "providers": model.providers,
        "price": {
            "input": side(model.price_min.input, model.price_max.input),
            "output": side(model.price_min.output, model.price_max.output),
        },
        "tokensPerSecond": tokens_per_second(model.millitokens_per_second),
        "context": model.context,
        "quantizations": model.quantizations,
        "vision": model.vision,
        "tools": model.tools,
        "browser": model.browser,
        "slotsFree": model.slots_free,
        "pace": model.pace.map(|pace| json!({
            "answers": pace.answers,
            "firstTokenMs": { "p50": pace.first_token_ms.p50, "p99": pace.first_token_ms.p99 },
            "tokensPerSecond": {
                "p50": tokens_per_second(pace.millitokens_per_second.p50),
                "p99": tokens_per_second(pace.millitokens_per_second.p99),
            },
        })),
        "uptime": house.channels.uptime(&model.id),
    })
}

fn row(model: &ModelView, house: &House) -> Value {
    json!({
        "id": model.id,
        "object": "model",
        "created": house.desk.now().0 / 1_000,
        "owned_by": "rekursing",
        "context_length": model.context,
        "rekursing": view(model, house),
    })
}
