//! The breaker: a session that fails again and again is parked, then probed with one job.

use std::collections::VecDeque;

use rekursing_protocol::Moment;

use crate::terms::Terms;

/// What lately failed, and what follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    state: State,
    failures: VecDeque<Moment>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Jobs may come.
    #[default]
    Closed,
    /// No job until then.
    Parked { until: Moment },
    /// One job may come, and its outcome decides.
    Probing { out: bool },
}

impl Breaker {
    /// Tells whether another job may come.
    pub(crate) const fn admits(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::Parked { .. } => false,
            State::Probing { out } => !out,
        }
    }

    /// Returns when parking ends, if it is parked.
    pub(crate) const fn parked_until(&self) -> Option<Moment> {
        match self.state {
            State::Parked { until } => Some(until),
            State::Closed | State::Probing { .. } => None,
        }
    }

    /// Tells whether failures limit what may come.
    pub(crate) const fn is_tripped(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// Ends parking that is over.
    pub(crate) fn wake(&mut self, now: Moment) {
        if self.parked_until().is_some_and(|until| until <= now) {
            self.state = State::Probing { out: false };
        }
    }

    /// A job was assigned.
    pub(crate) fn assigned(&mut self) {
        if let State::Probing { out } = &mut self.state {
            *out = true;
        }
    }

    /// A job ended in a way that says nothing about the session.
    pub(crate) fn released(&mut self) {
        if let State::Probing { out } = &mut self.state {
            *out = false;
        }
    }

    /// A job ended well. It opens a probed session; otherwise failures stay counted for their time, so
    /// that one who fails every other job is parked too.
    pub(crate) fn succeeded(&mut self) {
        if let State::Probing { .. } = self.state {
            self.state = State::Closed;
            self.failures.clear();
        }
    }

    /// A job failed by the owner's side.
    pub(crate) fn failed(&mut self, terms: &Terms, now: Moment) {
        match self.state {
            State::Closed => {
                self.failures.push_back(now);
                while self.failures.front().is_some_and(|first| now.since(*first) > terms.breaker_window) {
                    self.failures.pop_front();
                }
                if self.failures.len() < terms.breaker_failures {
                    return;
                }
            }
            State::Probing { .. } => {}
            State::Parked { .. } => return,
        }
        self.failures.clear();
        self.state = State::Parked { until: now + terms.breaker_park };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekursing_protocol::Span;

    fn tripped() -> (Breaker, Terms) {
        let (mut breaker, terms) = (Breaker::default(), Terms::default());
        for secs in [0, 1, 2] {
            assert!(breaker.admits());
            breaker.failed(&terms, Moment(0) + Span::secs(secs));
        }
        (breaker, terms)
    }

    #[test]
    fn three_failures_in_sixty_seconds_park_for_fifteen_and_then_one_job_probes() {
        let (mut breaker, _) = tripped();
        assert_eq!(breaker.parked_until(), Some(Moment(17_000)));
        breaker.wake(Moment(16_999));
        assert!(!breaker.admits());
        breaker.wake(Moment(17_000));
        assert!(breaker.admits());
        breaker.assigned();
        assert!(!breaker.admits());
    }

    #[test]
    fn a_probe_that_fails_parks_again_and_one_that_succeeds_opens() {
        let (mut breaker, terms) = tripped();
        breaker.wake(Moment(17_000));
        breaker.assigned();
        breaker.failed(&terms, Moment(18_000));
        assert_eq!(breaker.parked_until(), Some(Moment(33_000)));
        breaker.wake(Moment(33_000));
        breaker.assigned();
        breaker.released();
        assert!(breaker.admits(), "a probe that says nothing leaves room for another");
        breaker.assigned();
        breaker.succeeded();
        assert!(breaker.admits());
        assert!(!breaker.is_tripped());
    }

    #[test]
    fn failures_far_apart_park_nobody() {
        let (mut breaker, terms) = (Breaker::default(), Terms::default());
        for minute in 0..20 {
            breaker.failed(&terms, Moment(0) + Span::secs(31 * minute));
            assert!(!breaker.is_tripped());
        }
        assert!(breaker.failures.len() < terms.breaker_failures, "what is too old to matter is forgotten");
    }
}
