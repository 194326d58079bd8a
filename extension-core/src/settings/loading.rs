//! Whether models are loaded on demand, as the form has it.

use serde::{Deserialize, Serialize};

use super::form::{Errors, note};
use crate::{
    choices::{Loading, Which},
    said::{Blank, Said},
};

/// Longest time without a job after which a model is unloaded, in minutes.
const MINUTES_MAX: u16 = 10_080;

/// Whether models are loaded on demand, as texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LoadingForm {
    /// Whether models are offered that are not loaded.
    pub on_demand: bool,
    /// After how many minutes they are unloaded, or empty.
    pub minutes: String,
}

impl LoadingForm {
    pub(super) fn show(loading: Loading) -> LoadingForm {
        LoadingForm {
            on_demand: loading.which == Which::OnDemand,
            minutes: loading.unload_minutes.map(|minutes| minutes.to_string()).unwrap_or_default(),
        }
    }

    pub(super) fn read(&self, errors: &mut Errors) -> Loading {
        let which = if self.on_demand { Which::OnDemand } else { Which::Loaded };
        Loading { which, unload_minutes: note(errors, "unload", self.minutes()).flatten() }
    }

    fn minutes(&self) -> Result<Option<u16>, Said> {
        let text = self.minutes.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let minutes = text.parse().ok().filter(|minutes| (1..=MINUTES_MAX).contains(minutes));
        minutes.map(Some).ok_or_else(|| {
            let text = format!("Write a whole number of minutes from 1 to {MINUTES_MAX}, or nothing.");
            Said::new("form_unload", [Blank::Number(MINUTES_MAX.into())], text)
        })
    }
}
