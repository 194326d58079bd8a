//! Letting a plugin in: version, secret, inventory, and the session that it resumes, if it does.

use std::sync::Arc;

use rekursing_protocol::{
    Gpu, PluginId, SessionId, ToRelay, VERSION,
    frame::{Identify, Inventory, RESUME_JOBS_MAX, Ready, Resume, close},
    name::plain,
    offer::OFFERS_MAX,
};
use subtle::ConstantTimeEq;

use super::{Closing, frames::Frames};
use crate::{
    chance,
    desk::Face,
    house::House,
    outbox::Outbox,
    telemetry,
    ticket::{Hold, Ticket},
    tokens,
};

/// A plugin that is let in.
pub(super) struct Admitted {
    pub(super) session: SessionId,
    /// What it is told first.
    pub(super) ready: Ready,
    pub(super) outbox: Outbox,
    pub(super) frames: Frames,
    pub(super) hold: Hold,
}

/// Reads the first frame and lets the plugin in, or says why not.
pub(super) async fn admit(house: &Arc<House>, network: Option<u64>, text: &str) -> Result<Admitted, Closing> {
    let bad = |why| Closing { code: close::BAD_FRAME, why };
    let frame = serde_json::from_str(text).map_err(|_| bad("the first frame does not parse"))?;
    let ToRelay::Identify(identify) = frame else { return Err(bad("the first frame is not `identify`")) };
    if identify.version != VERSION {
        return Err(Closing { code: close::VERSION, why: "another version of the link" });
    }
    let name = authenticate(house, &identify)?;
    check(&identify.inventory).map_err(bad)?;
    if identify.resume.as_ref().is_some_and(|resume| resume.jobs.len() > RESUME_JOBS_MAX) {
        return Err(bad("too many jobs to resume"));
    }
    let Identify { plugin, gpu, inventory, resume, .. } = *identify;
    let outbox = Outbox::new(house.config.limits.session_queue);
    let face = Face { outbox, name, gpu: Arc::new(bounded(gpu)) };
    if let Some(resume) = resume
        && let Some(admitted) = resumed(house, plugin, network, &face, &inventory, &resume).await
    {
        return Ok(admitted);
    }
    Ok(begun(house, plugin, network, face, inventory))
}

/// Begins a session.
fn begun(
    house: &Arc<House>,
    plugin: PluginId,
    network: Option<u64>,
    face: Face,
    inventory: Inventory,
) -> Admitted {
    let session = house.session_id();
    let outbox = face.outbox.clone();
    let (ticket, token, hold) = Ticket::new(plugin, None);
    let may_resume = house.config.time.resume_ms > 0 && !house.is_draining();
    house.desk.join(session, plugin, network, face, inventory);
    house.desk.issue(session, ticket);
    let ready = Ready { session, token: may_resume.then_some(token), resumed: None };
    Admitted { session, ready, outbox, frames: Frames::new(Arc::clone(house), session), hold }
}

/// Goes on with the session that a plugin resumes, if it may and the session is there.
async fn resumed(
    house: &Arc<House>,
    plugin: PluginId,
    network: Option<u64>,
    face: &Face,
    inventory: &Inventory,
    resume: &Resume<'_>,
) -> Option<Admitted> {
    let session = resume.session;
    let older = house.desk.ticket(session, plugin, &resume.token)?;
    let used = older.take_over(&resume.token).await;
    let outbox = face.outbox.clone();
    let (ticket, token, hold) = Ticket::new(plugin, Some(used));
    let open = house.desk.resume(session, network, face.clone(), ticket, inventory.clone(), &resume.jobs)?;
    telemetry::resumed();
    let resumed = open.iter().map(|(_, resumed)| resumed.clone()).collect();
    let ready = Ready { session, token: Some(token), resumed: Some(resumed) };
    Some(Admitted { session, ready, outbox, frames: Frames::resumed(Arc::clone(house), session, open), hold })
}

/// Checks the secret. Returns the plugin's name.
fn authenticate(house: &House, identify: &Identify<'_>) -> Result<Arc<str>, Closing> {
    let wrong = Closing { code: close::UNAUTHORIZED, why: "unknown plugin or wrong secret" };
    let Some(known) = house.plugins.get(&identify.plugin) else { return Err(wrong) };
    let digest = chance::digest(&identify.secret);
    if bool::from(digest.ct_eq(&known.secret_hash)) { Ok(Arc::clone(&known.name)) } else { Err(wrong) }
}

/// Checks what a plugin says that it offers, and makes ready to count its models' tokens.
pub(super) fn check(inventory: &Inventory) -> Result<(), &'static str> {
    if inventory.offers.len() > OFFERS_MAX {
        return Err("too many offers");
    }
    if inventory.slots == 0 {
        return Err("slots must be at least 1");
    }
    if inventory.offers.iter().any(|offer| offer.check().is_err()) {
        return Err("an offer does not hold");
    }
    tokens::warm(&inventory.offers);
    Ok(())
}

/// Cuts a GPU's texts to what a reader can bear.
pub(crate) fn bounded(gpu: Gpu) -> Gpu {
    let Gpu { vendor, model, class, raw } = gpu;
    Gpu { vendor: plain(&vendor, 40), model: plain(&model, 80), class, raw: plain(&raw, 300) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpus_texts_hold_nothing_that_cannot_be_seen() {
        let texts = |vendor: &str, model: &str, raw: &str| Gpu {
            vendor: vendor.to_owned(),
            model: model.to_owned(),
            raw: raw.to_owned(),
            ..Gpu::default()
        };
        let hidden = texts("\u{200b}NVIDIA\n", "RTX\u{202e} 4090", "\u{feff}ANGLE\u{e0041} (…)");
        assert_eq!(bounded(hidden), texts("NVIDIA", "RTX 4090", "ANGLE (…)"));
        assert_eq!(bounded(texts("", &"x".repeat(81), "")).model.len(), 80);
    }
}
