//! What an owner may choose, as pure rules: when jobs come, how much is done, which models are
//! offered, what power costs. Values and the present moment go in, rulings come out.

mod allowance;
mod hours;
mod loading;
mod models;
mod pause;
mod power;
mod tally;
mod when;
mod zone;

pub use allowance::{Allowance, gigabytes};
pub use hours::{Hours, Week};
pub use loading::{Loading, Which};
pub use models::Models;
pub use pause::{Pause, Rest};
pub use power::{Code, Currency, Power};
pub use tally::Tally;
pub use when::{Input, OWN_USE_REST, Surroundings, When};
pub use zone::Zone;

use rekursing_protocol::Moment;

use crate::{
    agent::{Reason, Why},
    said::Said,
};

/// Why no new jobs are taken, by the owner's own choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code with its sentence.
    pub reason: Reason,
    /// When it ends, where that is known.
    pub until: Option<Moment>,
}

impl Closed {
    fn new(code: Why, said: Said, until: Option<Moment>) -> Closed {
        Closed { reason: Reason::new(code, said), until }
    }

    /// Closed for a reason whose sentence is that of its code.
    fn plain(code: Why, until: Option<Moment>) -> Closed {
        Closed { reason: code.reason(), until }
    }

    /// Returns when it ends, if it is the owner's pause and that is known.
    pub fn paused_until(&self) -> Option<Moment> {
        self.until.filter(|_| self.reason.code == Why::Paused)
    }
}
