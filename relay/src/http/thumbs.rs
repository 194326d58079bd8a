//! Thumbs: whoever got an answer says whether it was a good one.

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
};
use rekursing_protocol::{JobId, Nanos};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller,
    posted::{self, Named, Peer, Posted, Shared},
    receipts::Reader,
};
use crate::{
    receipt,
    store::{Rated, Voice},
};

/// A thumb.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thumb {
    up: bool,
}

/// `PUT /api/jobs/{jobId}/thumb`
pub(super) async fn put(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let Path(id) = id?;
    if !house.rates.voice(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many thumbs from this address; wait a minute"));
    }
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "job_not_found", "you have no such job");
    let reader = Reader::of(&house, &headers, peer).await?;
    let Thumb { up } = posted::read(&body)?;
    let id: JobId = id.parse().map_err(|_| unknown())?;
    let store = house.desk.store();
    let job = store.job(id).await.map_err(Problem::unread)?;
    let job = job.filter(|job| reader.may_rate(&house, id, job)).ok_or_else(unknown)?;
    let Some((owner, charge)) = receipt::owner(&job).zip(receipt::charge(&job)) else {
        let message = "an answer has its thumb once it has ended";
        return Err(Problem::new(StatusCode::CONFLICT, "not_ended", message));
    };
    let voice = if let Reader::Visitor(_) = reader {
        Some(Voice::Free)
    } else if charge <= Nanos::ZERO {
        // What friends do for each other at no price says nothing to others.
        None
    } else {
        let holder = caller::holder(&house, &headers, peer).await?;
        let account = holder.account;
        Some(if holder.is_verified { Voice::Verified(account) } else { Voice::Unverified(account) })
    };
    if let Some(voice) = voice {
        let rated = store.rate(house.desk.now(), id, owner, voice, up).await;
        match rated.map_err(Problem::unstored("a thumb"))? {
            Rated::Kept(quality) => house.qualities.put(owner, quality),
            Rated::Decided => {
                let message = "a dispute of this job was upheld, which is its thumb";
                return Err(Problem::new(StatusCode::CONFLICT, "disputed_before", message));
            }
        }
    }
    Ok(Json(json!({"jobId": id, "up": up, "counts": voice.is_some()})))
}
