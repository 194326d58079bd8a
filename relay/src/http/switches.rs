//! The operator's switches.

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller, operator,
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    house::House,
    store::{Act, Deed},
    switches::{Feature, Position},
};

/// How a switch is to stand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    on: bool,
    #[serde(default)]
    note: String,
}

/// `GET /api/operator/switches`
pub(super) async fn list(State(house): Shared, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    Ok(Json(view(&house)))
}

/// `PUT /api/operator/switches/{feature}`
pub(super) async fn turn(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    feature: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let Path(feature) = feature?;
    let feature: Feature = feature
        .parse()
        .map_err(|()| Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such switch"))?;
    let Wanted { on, note } = posted::read(&body)?;
    operator::check_note("note", &note)?;
    let (position, deed) =
        if on { (Position::On, Deed::SwitchedOn) } else { (Position::Off, Deed::SwitchedOff) };
    let _alone = house.switches.turning.lock().await;
    // What stands already is not said twice.
    if house.switches.is_on(feature) != on {
        let act = Act::of(&operator::who(&house, &headers, peer), deed, feature.name(), &note);
        let turned = house.desk.store().turn(house.desk.now(), feature, position, act).await;
        turned.map_err(Problem::unstored("a switch"))?;
        house.switches.turn(feature, position);
    }
    Ok(Json(view(&house)))
}

fn view(house: &House) -> Value {
    let switches =
        Feature::ALL.map(|feature| json!({"name": feature.name(), "on": house.switches.is_on(feature)}));
    json!({"switches": switches})
}
