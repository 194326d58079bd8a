//! What all model servers together have: a model of two servers is one offer with the slots of both.

use rekursing_protocol::{Offer, offer::OFFERS_MAX};

use super::{
    super::{Agent, jobs::Jobs},
    Place, Server, Watch,
};
use crate::{bridge::server::Model, choices::Which};

/// A server that has a model, and what a job needs to know of it.
#[derive(Debug)]
pub(in crate::agent) struct Having<'a> {
    pub(in crate::agent) server: &'a Server,
    pub(in crate::agent) model: &'a Model,
    pub(in crate::agent) token: Option<&'a String>,
    /// Slots of the model that are free.
    pub(in crate::agent) free: usize,
}

impl Watch {
    /// Returns every model once. Of one that two servers have, what both can do is offered, and the
    /// slots of both. One that is loaded anywhere is not loaded elsewhere too.
    pub(in crate::agent) fn offers(&self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        let loaded = self.places.iter().flat_map(Place::models);
        for model in loaded.chain(self.places.iter().flat_map(|place| self.asleep(place))) {
            let here = &model.offer;
            let known = offers.iter().position(|offer| offer.model == here.model);
            let is_full = offers.len() == OFFERS_MAX;
            match known.map(|at| &mut offers[at]) {
                Some(offer)
                    if (offer.kind, offer.loaded, offer.browser)
                        == (here.kind, here.loaded, here.browser) =>
                {
                    offer.slots = offer.slots.saturating_add(here.slots);
                    offer.context = offer.context.min(here.context);
                    offer.vision &= here.vision;
                    offer.tools &= here.tools;
                    offer.continues &= here.continues;
                }
                // Of a name that means two things, the first counts.
                Some(_) => {}
                None if is_full => break,
                None => offers.push(here.clone()),
            }
        }
        offers
    }

    /// Returns the server for one more job of a model: the one with the most free slots, and the
    /// first of those.
    pub(in crate::agent) fn server_for(&self, name: &str, jobs: &Jobs) -> Option<Having<'_>> {
        let having = self.places.iter().filter_map(|place| {
            let server = place.server.as_ref()?;
            let mut models = place.models().iter().chain(self.asleep(place));
            let model = models.find(|model| model.offer.model == name)?;
            let running = jobs.of(&server.address, name);
            let free = usize::from(model.offer.slots).saturating_sub(running);
            Some(Having { server, model, token: place.token.as_ref(), free })
        });
        let rank = |having: &Having<'_>| {
            let offer = &having.model.offer;
            // What a server has is not offered as what runs in the browser.
            (!offer.browser, offer.loaded, having.free)
        };
        having.reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
    }

    /// Returns what a place would load on demand, where the owner wants that.
    fn asleep<'a>(&self, place: &'a Place) -> &'a [Model] {
        match self.which {
            Which::Loaded => &[],
            Which::OnDemand => place.asleep(),
        }
    }
}

impl Agent {
    /// Returns how many requests wait at the servers: what each told, or the agent's own jobs beyond
    /// what it takes at once.
    pub(in crate::agent) fn queue(&self) -> u16 {
        let at = |place: &Place| {
            let beyond = |model: &Model| {
                let address = place.address().map_or("", String::as_str);
                let running = self.jobs.of(address, &model.offer.model);
                running.saturating_sub(usize::from(model.offer.slots))
            };
            place.queue.map_or_else(|| place.models().iter().map(beyond).sum(), usize::from)
        };
        u16::try_from(self.watch.places.iter().map(at).sum::<usize>()).unwrap_or(u16::MAX)
    }
}
