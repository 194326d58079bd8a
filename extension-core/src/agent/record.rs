//! What was measured of each model: since the last heartbeat for the relay, over all for the owner.

use std::collections::BTreeMap;

use rekursing_protocol::{FailCode, frame::ModelReport};

use crate::bridge::reply::Measure;

/// Most jobs whose figures are kept between two heartbeats.
const SAMPLES_MAX: usize = 1_000;

/// What was measured, by model.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<String, Record>);

/// What was measured of one model.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Thousandths of tokens per second of jobs since the last heartbeat.
    rates: Vec<u64>,
    /// Milliseconds to the first token of jobs since the last heartbeat.
    firsts: Vec<u64>,
    done: u32,
    failed: u32,
    /// The last job's thousandths of tokens per second.
    pub(super) rate: Option<u64>,
    /// The last job's milliseconds to the first token.
    pub(super) first: Option<u64>,
    /// Jobs done since the agent started.
    pub(super) done_in_all: u64,
}

impl Records {
    /// Counts a job that ended, well or not.
    pub(super) fn count(&mut self, model: &str, measure: &Measure, failure: Option<FailCode>) {
        if !self.0.contains_key(model) {
            self.0.insert(model.to_owned(), Record::default());
        }
        let Some(record) = self.0.get_mut(model) else { return };
        if let Some(first) = measure.first_token().filter(|_| record.firsts.len() < SAMPLES_MAX) {
            record.firsts.push(first.0);
            record.first = Some(first.0);
        }
        match failure {
            None => {
                record.done += 1;
                record.done_in_all += 1;
                if let Some(rate) =
                    measure.millitokens_per_second().filter(|_| record.rates.len() < SAMPLES_MAX)
                {
                    record.rates.push(rate);
                    record.rate = Some(rate);
                }
            }
            Some(code) if !code.is_pages_mistake() => record.failed += 1,
            Some(_) => {}
        }
    }

    /// Returns what was measured of a model.
    pub(super) fn of(&self, model: &str) -> Option<&Record> {
        self.0.get(model)
    }

    /// Takes what is new since the last time.
    pub(super) fn take_report(&mut self) -> Vec<ModelReport> {
        let active = self
            .0
            .iter_mut()
            .filter(|(_, record)| record.done > 0 || record.failed > 0 || !record.firsts.is_empty());
        active
            .map(|(model, record)| ModelReport {
                model: model.clone(),
                millitokens_per_second: median(&mut record.rates),
                first_token_ms: u32::try_from(median(&mut record.firsts)).unwrap_or(u32::MAX),
                done: std::mem::take(&mut record.done),
                failed: std::mem::take(&mut record.failed),
            })
            .collect()
    }
}

/// Takes the median, 0 of nothing.
fn median(samples: &mut Vec<u64>) -> u64 {
    samples.sort_unstable();
    let middle = samples.get(samples.len() / 2).copied().unwrap_or_default();
    samples.clear();
    middle
}
