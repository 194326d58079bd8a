//! Estimates: what an answer would cost and take. Nothing is asked of anybody and nothing is set aside.

use axum::{Json, extract::State, http::HeaderMap};
use rekursing_market::Payer;
use rekursing_protocol::Nanos;
use serde_json::Value;

use super::{
    Problem, answers, caller,
    posted::{Peer, Posted, Shared},
};
use crate::{
    ask::{Ask, Dialect},
    conversation,
    desk::Denial,
    estimate,
    house::House,
};

/// `POST /api/llm/estimate`
pub(super) async fn estimate(
    State(house): Shared,
    peer: Peer,
    headers: HeaderMap,
    Posted { body, room }: Posted,
) -> Result<Json<Value>, Problem> {
    let caller = caller::caller(&house, &headers, peer.0).await?;
    rated(&house, caller.payer)?;
    let job = house.job_id();
    let (mut ask, room) = answers::read(&house, Dialect::Inference, body, room, job, caller.payer).await?;
    answers::pays(&house, &mut ask, caller, &headers, peer.0)?;
    let Ask { auto, fields, mut request, .. } = ask;
    let payer = request.payer;
    if house.desk.is_choosy() {
        let topics = move || {
            let topics = conversation::topics(&fields);
            drop(room);
            topics
        };
        request.topics = house.aside(topics).await;
    }
    if let Payer::Free { .. } = payer {
        // What its ad will bring is known only once it is chosen, which is for answers alone.
        request.ad_expected = Nanos::MAX;
    }
    let estimated = match auto {
        None => house.desk.estimate(&request).map(|estimated| estimate::view(&estimated)),
        Some(auto) => house.desk.choose(&request, &auto).map(|choice| {
            let mut view = estimate::view(&choice.estimate);
            view["choice"] = estimate::choice(&choice);
            view
        }),
    };
    estimated.map(Json).map_err(|refusal| answers::refuse(Denial::Refused(refusal), payer))
}

/// Counts an estimate, or a choice of model and tier, which is made of many.
pub(super) fn rated(house: &House, payer: Payer) -> Result<(), Problem> {
    if let Payer::Page(account) = payer
        && !house.rates.estimate(account)
    {
        return Err(Problem::rate_limited("too many estimates for this account; wait a minute"));
    }
    Ok(())
}
