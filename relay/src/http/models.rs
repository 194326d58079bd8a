//! What can be asked for at this moment.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use rekursing_market::ModelView;
use rekursing_protocol::{Nanos, OfferKind};
use serde_json::{Value, json};

use super::Problem;
use crate::house::House;

/// `GET /api/llm/models`
pub(super) async fn own(State(house): State<Arc<House>>) -> Json<Value> {
    let models: Vec<Value> = house.desk.models().iter().map(view).collect();
    Json(json!({"models": models}))
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

fn view(model: &ModelView) -> Value {
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
    })
}

fn row(model: &ModelView, house: &House) -> Value {
    json!({
        "id": model.id,
        "object": "model",
        "created": house.desk.now().0 / 1_000,
        "owned_by": "rekursing",
        "context_length": model.context,
        "rekursing": view(model),
    })
}

/// Micro-dollars per million tokens as dollars per million tokens.
pub(super) fn dollars(micros: u64) -> String {
    Nanos::new(i64::try_from(micros.saturating_mul(1_000)).unwrap_or(i64::MAX)).to_string()
}

/// A measured speed for a reader: one decimal, nothing when it was not measured.
pub(super) fn tokens_per_second(millitokens: u64) -> Option<f64> {
    // Speeds stay far below 2⁵³.
    (millitokens > 0).then(|| (millitokens as f64 / 100.0).round() / 10.0)
}
