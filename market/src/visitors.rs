//! Free visitors: how many free answers each has had today. Bounded, and forgotten at midnight UTC.

use std::collections::HashMap;

use rekursing_protocol::Moment;

use crate::{refusal::Refusal, terms::Terms};

#[derive(Debug, Default)]
pub(crate) struct Visitors {
    day: u64,
    jobs: HashMap<u64, u32>,
}

impl Visitors {
    /// Counts one more job of the visitor, and returns the day on which it counts.
    pub(crate) fn take(&mut self, terms: &Terms, now: Moment, visitor: u64) -> Result<u64, Refusal> {
        if self.day != now.day() {
            self.day = now.day();
            self.jobs.clear();
        }
        let known = self.jobs.get(&visitor).copied();
        if known.unwrap_or(0) >= terms.free_jobs_per_day {
            return Err(Refusal::FreeQuotaUsed { jobs_per_day: terms.free_jobs_per_day });
        }
        if known.is_none() && self.jobs.len() >= terms.free_visitors_max {
            return Err(Refusal::FreeVisitorsFull);
        }
        *self.jobs.entry(visitor).or_insert(0) += 1;
        Ok(self.day)
    }

    /// Takes back a job that came to nothing, unless its day is over.
    pub(crate) fn give_back(&mut self, day: u64, visitor: u64) {
        if self.day != day {
            return;
        }
        if let Some(jobs) = self.jobs.get_mut(&visitor) {
            *jobs = jobs.saturating_sub(1);
            if *jobs == 0 {
                self.jobs.remove(&visitor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekursing_protocol::Span;

    fn terms() -> Terms {
        Terms { free_jobs_per_day: 2, free_visitors_max: 2, ..Terms::default() }
    }

    #[test]
    fn each_visitor_has_a_quota_that_starts_afresh_at_midnight() {
        let mut visitors = Visitors::default();
        let now = Moment(Span::DAY.0 - 1);
        let used = Err(Refusal::FreeQuotaUsed { jobs_per_day: 2 });
        assert_eq!(visitors.take(&terms(), now, 1), Ok(0));
        assert_eq!(visitors.take(&terms(), now, 1), Ok(0));
        assert_eq!(visitors.take(&terms(), now, 1), used);
        assert_eq!(visitors.take(&terms(), now, 2), Ok(0));
        assert_eq!(visitors.take(&terms(), now + Span(1), 1), Ok(1));
    }

    #[test]
    fn a_job_that_came_to_nothing_does_not_count_on_its_day_alone() {
        let mut visitors = Visitors::default();
        let day = visitors.take(&terms(), Moment(0), 1).unwrap();
        visitors.take(&terms(), Moment(0), 1).unwrap();
        visitors.give_back(day, 1);
        assert_eq!(visitors.take(&terms(), Moment(0), 1), Ok(0));
        let tomorrow = Moment(Span::DAY.0);
        visitors.take(&terms(), tomorrow, 1).unwrap();
        visitors.take(&terms(), tomorrow, 1).unwrap();
        visitors.give_back(day, 1);
        assert!(visitors.take(&terms(), tomorrow, 1).is_err());
    }

    #[test]
    fn memory_is_bounded_and_known_visitors_still_come_in() {
        let mut visitors = Visitors::default();
        visitors.take(&terms(), Moment(0), 1).unwrap();
        visitors.take(&terms(), Moment(0), 2).unwrap();
        assert_eq!(visitors.take(&terms(), Moment(0), 3), Err(Refusal::FreeVisitorsFull));
        assert_eq!(visitors.take(&terms(), Moment(0), 2), Ok(0));
    }
}
