//! Letting a plugin in: version, secret or signature, inventory, and the session that it resumes, if it does.

use std::{borrow::Cow, sync::Arc};

use rekursing_protocol::{
    Gpu, PluginId, SessionId, ToRelay, VERSION,
    device::{Purpose, Statement},
    frame::{Identify, Inventory, RESUME_JOBS_MAX, Ready, Resume, close},
    name::plain,
    offer::OFFERS_MAX,
};

use super::{Closing, frames::Frames};
use crate::{
    desk::Face,
    devices::{self, Key},
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

/// What a plugin with a device key has to sign on one connection.
#[derive(Debug)]
pub(super) struct Challenge {
    /// The name of ours under which it was opened.
    pub(super) host: String,
    pub(super) nonce: String,
}

/// Whether a plugin's secret has just given way to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rekeyed {
    Yes,
    No,
}

/// Reads the first frame and lets the plugin in, or says why not.
pub(super) async fn admit(
    house: &Arc<House>,
    network: Option<u64>,
    challenge: Option<&Challenge>,
    text: &str,
) -> Result<Admitted, Closing> {
    let bad = |why| Closing { code: close::BAD_FRAME, why };
    let frame = serde_json::from_str(text).map_err(|_| bad("the first frame does not parse"))?;
    let ToRelay::Identify(identify) = frame else { return Err(bad("the first frame is not `identify`")) };
    if identify.version != VERSION {
        return Err(Closing { code: close::VERSION, why: "another version of the link" });
    }
    let (name, rekeyed) = authenticate(house, challenge, &identify).await?;
    allowed(house, identify.plugin)?;
    check(&identify.inventory).map_err(bad)?;
    if identify.resume.as_ref().is_some_and(|resume| resume.jobs.len() > RESUME_JOBS_MAX) {
        return Err(bad("too many jobs to resume"));
    }
    let Identify { plugin, gpu, inventory, resume, .. } = *identify;
    let outbox = Outbox::new(house.config.limits.session_queue);
    let face = Face { outbox, name, gpu: Arc::new(bounded(gpu)) };
    let back = match &resume {
        Some(resume) => resumed(house, plugin, network, &face, &inventory, resume).await,
        None => None,
    };
    let mut admitted = back.unwrap_or_else(|| begun(house, plugin, network, face, inventory));
    // Who is revoked in between is not among the sessions that are closed for it.
    allowed(house, plugin).inspect_err(|_| house.desk.leave(admitted.session))?;
    admitted.ready.keyed = rekeyed == Rekeyed::Yes;
    Ok(admitted)
}

/// Refuses a plugin whose account has revoked its key or secret.
fn allowed(house: &House, plugin: PluginId) -> Result<(), Closing> {
    match house.plugins.find(plugin).and_then(|known| known.revoked) {
        Some(_) => Err(Closing { code: close::REVOKED, why: "its account has revoked its key" }),
        None => Ok(()),
    }
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
    let ready = Ready { session, token: may_resume.then_some(token), resumed: None, keyed: false };
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
    let ready = Ready { session, token: Some(token), resumed: Some(resumed), keyed: false };
    Some(Admitted { session, ready, outbox, frames: Frames::resumed(Arc::clone(house), session, open), hold })
}

/// Checks the secret, or the signature by the device key. Returns the plugin's name.
async fn authenticate(
    house: &House,
    challenge: Option<&Challenge>,
    identify: &Identify<'_>,
) -> Result<(Arc<str>, Rekeyed), Closing> {
    let wrong = Closing { code: close::UNAUTHORIZED, why: "unknown plugin, or a wrong secret or signature" };
    let Some(known) = house.plugins.find(identify.plugin) else { return Err(wrong) };
    let has_signed = |key: &Key, signature: &str| {
        challenge.is_some_and(|Challenge { host, nonce }| {
            let statement = Statement { purpose: Purpose::Link, host, plugin: identify.plugin, nonce };
            devices::has_signed(key, &statement, signature)
        })
    };
    let said = [&identify.secret, &identify.signature, &identify.key].map(Option::<Cow<'_, str>>::as_deref);
    match said {
        [Some(secret), None, None] if known.has_secret(secret) => Ok((known.name, Rekeyed::No)),
        [None, Some(signature), None] if known.key.is_some_and(|key| has_signed(&key, signature)) => {
            Ok((known.name, Rekeyed::No))
        }
        [Some(secret), Some(signature), Some(key)] => {
            let Some(key) = devices::key(key).filter(|key| has_signed(key, signature)) else {
                return Err(wrong);
            };
            // The plugin has not heard the last time that the key is taken.
            if known.key == Some(key) {
                return Ok((known.name, Rekeyed::Yes));
            }
            if !known.has_secret(secret) {
                return Err(wrong);
            }
            let rekeyed = rekey(house, identify.plugin, key).await?;
            Ok((known.name, rekeyed))
        }
        [Some(_), None, None] | [None, Some(_), None] => Err(wrong),
        [None, None, _] | [None, Some(_), Some(_)] | [Some(_), None, Some(_)] | [Some(_), Some(_), None] => {
            let why = "neither a secret, nor a signature, nor both with a key";
            Err(Closing { code: close::BAD_FRAME, why })
        }
    }
}

/// Lets a key take the place of a plugin's secret, unless another plugin has it.
async fn rekey(house: &House, plugin: PluginId, key: Key) -> Result<Rekeyed, Closing> {
    if house.plugins.with_key(&key).is_some() {
        return Ok(Rekeyed::No);
    }
    house.desk.store().rekey_plugin(plugin, key).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "could not store a device key");
        Closing { code: close::INTERNAL, why: "the key could not be stored" }
    })?;
    house.plugins.rekey(plugin, key);
    Ok(Rekeyed::Yes)
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
