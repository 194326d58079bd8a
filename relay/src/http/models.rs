//! What can be asked for at this moment.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use rekursing_market::{ModelView, Tier};
use rekursing_protocol::{OfferKind, Price};
use serde_json::{Map, Value, json};

use super::{
    Problem,
    figures::{dollars, tokens_per_second},
    posted::{Named, Shared},
    written::{List, Written},
};
use crate::house::House;

/// `GET /api/llm/models`
pub(super) async fn own(State(house): Shared) -> Result<Response, Problem> {
    let write = |house: &Arc<House>| {
        let tiers = &house.desk.terms().tiers;
        let tier =
            |tier: Tier| (tier.name().to_owned(), json!({"pricePermille": tiers.of(tier).price_permille}));
        let tiers: Map<String, Value> = Tier::ALL.into_iter().map(tier).collect();
        json!({"models": views(house), "tiers": tiers}).to_string()
    };
    Ok(Written::as_json(Written::of(&house, List::Models, write).await?))
}

/// Returns what can be asked for.
pub(super) fn views(house: &House) -> Vec<Value> {
    house.desk.models().iter().map(|model| view(model, house)).collect()
}

/// `GET /v1/models`
pub(super) async fn openai(State(house): Shared) -> Response {
    let write = |house: &Arc<House>| {
        let models: Vec<Value> = house.desk.models().iter().map(|model| row(model, house)).collect();
        json!({"object": "list", "data": models}).to_string()
    };
    let written = Written::of(&house, List::OpenAiModels, write).await;
    written.map_or_else(Problem::into_openai, Written::as_json)
}

/// `GET /v1/models/{model}`
pub(super) async fn openai_one(State(house): Shared, id: Named) -> Result<Json<Value>, Response> {
    let Path(id) = id.map_err(|rejection| Problem::from(rejection).into_openai())?;
    let found = house.desk.model(&id).map(|model| Json(row(&model, &house)));
    found.ok_or_else(|| {
        let refusal = rekursing_market::Refusal::ModelNotFound { model: id.chars().take(200).collect() };
        Problem::from(refusal).into_openai()
    })
}

fn view(model: &ModelView, house: &House) -> Value {
    // What nobody has shown is null.
    let mut tiers: Map<String, Value> =
        Tier::ALL.into_iter().map(|tier| (tier.name().to_owned(), Value::Null)).collect();
    for view in &model.tiers {
        tiers[view.tier.name()] = json!({
            "providers": view.providers,
            "price": range(view.price_min, view.price_max),
            "tokensPerSecond": tokens_per_second(view.millitokens_per_second),
        });
    }
    json!({
        "id": model.id,
        "kind": match model.kind { OfferKind::Text => "text", OfferKind::Embedding => "embedding" },
        "providers": model.providers,
        "price": range(model.price_min, model.price_max),
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
        "tiers": tiers,
    })
}

fn range(min: Price, max: Price) -> Value {
    let side = |low: u64, high: u64| json!({"min": dollars(low), "max": dollars(high)});
    json!({"input": side(min.input, max.input), "output": side(min.output, max.output)})
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
