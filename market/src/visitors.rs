//! Free visitors: how many free answers each has had today. Bounded, and forgotten at midnight UTC.

use std::collections::HashMap;

use rekursing_protocol::Moment;

use crate::{refusal::Refusal, terms::Terms};

/// How many free answers a visitor has had on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The UTC day, counted from the Unix epoch.
    pub day: u64,
    /// The visitor, as the shell tells one from another on that day.
    pub visitor: u64,
    /// How many.
    pub jobs: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Visitors {
    day: u64,
    jobs: HashMap<u64, u32>,
}

impl Visitors {
    /// Notes what a visitor had before the start, unless that day is over or too many are known.
    pub(crate) fn restore(&mut self, terms: &Terms, now: Moment, visit: Visit) {
        self.day = now.day();
        if visit.day == self.day && visit.jobs > 0 && self.jobs.len() < terms.free_visitors_max {
            self.jobs.insert(visit.visitor, visit.jobs);
        }
    }

    /// Counts one more job of the visitor, and returns what he has had with it.
    pub(crate) fn take(&mut self, terms: &Terms, now: Moment, visitor: u64) -> Result<Visit, Refusal> {
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
        let jobs = self.jobs.entry(visitor).or_insert(0);
        *jobs += 1;
        Ok(Visit { day: self.day, visitor, jobs: *jobs })
    }

    /// Takes back a job that came to nothing, unless its day is over. Returns what the visitor has had
    /// without it.
    pub(crate) fn give_back(&mut self, day: u64, visitor: u64) -> Option<Visit> {
        let jobs = self.jobs.get_mut(&visitor).filter(|_| self.day == day)?;
        *jobs = jobs.saturating_sub(1);
        let visit = Visit { day, visitor, jobs: *jobs };
        if visit.jobs == 0 {
            self.jobs.remove(&visitor);
        }
        Some(visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekursing_protocol::Span;

    fn terms() -> Terms {
        Terms { free_jobs_per_day: 2, free_visitors_max: 2, ..Terms::default() }
    }

    fn had(day: u64, visitor: u64, jobs: u32) -> Result<Visit, Refusal> {
        Ok(Visit { day, visitor, jobs })
    }

    #[test]
    fn what_a_visitor_had_before_the_start_counts_on_its_day_alone() {
        let mut visitors = Visitors::default();
        let now = Moment(Span::DAY.0);
        for (day, visitor, jobs) in [(1, 1, 2), (0, 2, 2), (1, 3, 0), (1, 4, 1), (1, 5, 1)] {
            visitors.restore(&terms(), now, Visit { day, visitor, jobs });
        }
        assert_eq!(visitors.take(&terms(), now, 1), Err(Refusal::FreeQuotaUsed { jobs_per_day: 2 }));
        assert_eq!(visitors.take(&terms(), now, 4), had(1, 4, 2));
        assert_eq!(visitors.take(&terms(), now, 5), Err(Refusal::FreeVisitorsFull), "no more than two");
        assert_eq!(visitors.take(&terms(), now + Span::DAY, 1), had(2, 1, 1));
    }

    #[test]
    fn each_visitor_has_a_quota_that_starts_afresh_at_midnight() {
        let mut visitors = Visitors::default();
        let now = Moment(Span::DAY.0 - 1);
        let used = Err(Refusal::FreeQuotaUsed { jobs_per_day: 2 });
        assert_eq!(visitors.take(&terms(), now, 1), had(0, 1, 1));
        assert_eq!(visitors.take(&terms(), now, 1), had(0, 1, 2));
        assert_eq!(visitors.take(&terms(), now, 1), used);
        assert_eq!(visitors.take(&terms(), now, 2), had(0, 2, 1));
        assert_eq!(visitors.take(&terms(), now + Span(1), 1), had(1, 1, 1));
    }

    #[test]
    fn a_job_that_came_to_nothing_does_not_count_on_its_day_alone() {
        let mut visitors = Visitors::default();
        let Visit { day, .. } = visitors.take(&terms(), Moment(0), 1).unwrap();
        visitors.take(&terms(), Moment(0), 1).unwrap();
        assert_eq!(visitors.give_back(day, 1), Some(Visit { day, visitor: 1, jobs: 1 }));
        assert_eq!(visitors.take(&terms(), Moment(0), 1), had(0, 1, 2));
        let tomorrow = Moment(Span::DAY.0);
        visitors.take(&terms(), tomorrow, 1).unwrap();
        visitors.take(&terms(), tomorrow, 1).unwrap();
        assert_eq!(visitors.give_back(day, 1), None);
        assert!(visitors.take(&terms(), tomorrow, 1).is_err());
    }

    #[test]
    fn memory_is_bounded_and_known_visitors_still_come_in() {
        let mut visitors = Visitors::default();
        visitors.take(&terms(), Moment(0), 1).unwrap();
        visitors.take(&terms(), Moment(0), 2).unwrap();
        assert_eq!(visitors.take(&terms(), Moment(0), 3), Err(Refusal::FreeVisitorsFull));
        assert_eq!(visitors.take(&terms(), Moment(0), 2), had(0, 2, 2));
    }
}
