//! Jobs: where each stands on its way to its end.

use std::sync::Arc;

use rekursing_protocol::{GroupId, Moment, Nanos, Offer, PluginId, Price, SessionId};

use crate::{request::Request, shelf::ShelfId};

/// One request on its way to its answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request,
    /// Counts jobs in the order of submission; who waits is served in it.
    pub(crate) number: u64,
    pub(crate) submitted: Moment,
    /// Until when it may wait for a slot.
    pub(crate) deadline: Moment,
    /// The UTC day to whose free quota it is given back should it come to nothing.
    pub(crate) quota_day: Option<u64>,
    /// What is set aside, once a session was found. Retries stay within it.
    pub(crate) held: Option<Nanos>,
    /// Attempts so far; the latest one's lease.
    pub(crate) lease: u32,
    /// Attempts that failed and count.
    pub(crate) retries: u32,
    /// Plugins that failed it.
    pub(crate) excluded: Vec<PluginId>,
    /// Those of them to blame if another one can answer it.
    pub(crate) suspects: Vec<PluginId>,
    /// Whether a session has said that the page's request is wrong.
    pub(crate) doubted: bool,
    pub(crate) state: State,
}

/// Where a job stands.
#[derive(Debug)]
pub(crate) enum State {
    /// It is between two sessions, or just came.
    Unplaced,
    /// Every fitting session is busy.
    Waiting {
        /// The shelf that it waits for.
        shelf: ShelfId,
    },
    /// A session has it.
    Running(Run),
}

/// An attempt at a job.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Where the session is; `None` once it is gone.
    pub(crate) at: Option<u32>,
    pub(crate) session: SessionId,
    pub(crate) plugin: PluginId,
    pub(crate) offer: Arc<Offer>,
    /// The group at whose price the job runs. It tells nothing of how the plugin serves others, so nobody
    /// gets a record for nothing by it.
    pub(crate) group: Option<GroupId>,
    /// What the owner asks, before the tier.
    pub(crate) ask: Price,
    pub(crate) answer_tokens_max: u64,
    /// When it was asked.
    pub(crate) since: Moment,
    /// Whether the first piece has come, after which no other session can take over.
    pub(crate) began: bool,
}
