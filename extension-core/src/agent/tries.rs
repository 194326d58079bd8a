//! How long the agent waits between two tries to reach the relay.
//!
//! Every pause is drawn between nothing and a limit that doubles with each failure in a row, so that the
//! plugins of a relay that is started again do not come all at once.

use rekursing_protocol::{Moment, Span};

use super::{Why, random::Random};

/// Longest pause while the relay cannot be reached. With the time for which a try may hang it keeps whoever
/// is in the network again from being away for a minute.
const PAUSE_MAX: Span = Span::secs(20);

/// Longest pause while answers wait for their session, which the relay gives up after half a minute.
const WAITED_FOR_MAX: Span = Span::secs(4);

/// Longest pause for a relay that can be reached and says that it has too much to do.
const OVERLOADED_MAX: Span = Span::secs(60);

/// The first pause for such a relay is as long as if so many tries had failed.
const OVERLOADED_FAILURES: u32 = 4;

/// Longest pause once there are news of the network.
pub(super) const SOON: Span = Span::secs(1);

/// Shortest time between news of the network that are listened to.
const NEWS_EVERY: Span = Span::secs(10);

/// So many failures are remembered after news: what failed may have been the network of before.
const FAILURES_AFTER_NEWS: u32 = 2;

/// The tries since a session held.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failures: u32,
    /// When there were news of the network.
    news: Option<Moment>,
}

impl Tries {
    /// Counts a failure, and draws the pause before the next try.
    pub(super) fn pause(&mut self, why: Why, is_waited_for: bool, random: &mut Random) -> Span {
        let most = if why == Why::Overloaded {
            self.failures = self.failures.max(OVERLOADED_FAILURES);
            OVERLOADED_MAX
        } else if is_waited_for {
            WAITED_FOR_MAX
        } else {
            PAUSE_MAX
        };
        let limit = Span::millis(1_000 << self.failures.min(6)).min(most);
        self.failures += 1;
        random.within(limit)
    }

    /// Tells whether news of the network are to be listened to: not when there were others just before, as
    /// from a plug that is loose.
    pub(super) fn take_news(&mut self, now: Moment) -> bool {
        if self.news.is_some_and(|before| now.since(before) < NEWS_EVERY) {
            return false;
        }
        self.news = Some(now);
        self.failures = self.failures.min(FAILURES_AFTER_NEWS);
        true
    }
}
