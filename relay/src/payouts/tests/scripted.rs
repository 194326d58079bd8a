//! A rail that keeps its promises and fails as it is told to, and never pays one payout twice unnoticed.

use std::collections::{HashMap, HashSet, VecDeque};

use parking_lot::Mutex;
use rekursing_protocol::{Moment, Nanos, PayoutId};
use rekursing_rails::{
    Attempt, BadDestination, Destination, Fate, Later, Method, NotKnown, Order, Prepared, Rail, Refusal,
    SubmitError,
};
use serde_json::json;

/// What a submission comes to.
#[derive(Debug, Clone)]
pub(super) enum Submission {
    /// It is taken, and the answer arrives.
    Taken,
    /// It is taken, and the answer is lost.
    LostAfter,
    /// It does not arrive, and nobody can tell.
    LostBefore,
    /// It is turned away.
    Refused(Refusal),
}

/// What the rail did and is to do.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Payouts whose money has moved, with the bytes that moved it.
    pub(super) paid: HashMap<PayoutId, (Nanos, Vec<u8>)>,
    /// Every submission.
    pub(super) submissions: Vec<(PayoutId, Attempt)>,
    /// Payouts with a submission that did not end in a refusal.
    unrefused: HashSet<PayoutId>,
    /// How many orders stood when each was prepared.
    pub(super) standing: Vec<usize>,
    /// What preparing refuses, call by call.
    pub(super) preparing: VecDeque<Refusal>,
    /// What submissions come to, call by call; past its end they are taken.
    pub(super) submitting: VecDeque<Submission>,
    /// What looks find, call by call; past its end, the truth.
    pub(super) looking: VecDeque<Result<Fate, NotKnown>>,
    /// When the rail takes back what had arrived.
    pub(super) takes_back: Option<Moment>,
    /// What the rail takes for a payout.
    pub(super) cost: Nanos,
}

#[derive(Debug, Default)]
pub(super) struct Scripted {
    pub(super) world: Mutex<World>,
}

impl Rail for Scripted {
    fn method(&self) -> Method {
        Method::Paypal
    }

    fn minimum(&self) -> Nanos {
        Method::Paypal.unit()
    }

    fn destination(&self, text: &str) -> Result<Destination, BadDestination> {
        Destination::read(Method::Paypal, text)
    }

    fn prepare<'a>(
        &'a self,
        order: &'a Order,
        standing: &'a [Prepared],
        now: Moment,
    ) -> Later<'a, Result<Prepared, Refusal>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut world = self.world.lock();
            assert!(standing.iter().all(|prepared| prepared.payout() != order.payout), "it is prepared");
            world.standing.push(standing.len());
            if let Some(refusal) = world.preparing.pop_front() {
                return Err(refusal);
            }
            let prepared = json!({
                "version": 1,
                "method": "paypal",
                "payout": order.payout,
                "destination": order.destination.text(),
                "amount": order.amount,
                "made": now,
                // No two preparations are the same.
                "body": format!("order {}", world.standing.len()),
            });
            Ok(Prepared::from_bytes(prepared.to_string().as_bytes()).unwrap())
        })
    }

    fn submit<'a>(
        &'a self,
        prepared: &'a Prepared,
        attempt: Attempt,
        _now: Moment,
    ) -> Later<'a, Result<String, SubmitError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let answer = self.world.lock().submit(prepared, attempt);
            // The answer is on its way.
            tokio::task::yield_now().await;
            answer
        })
    }

    fn look<'a>(
        &'a self,
        prepared: &'a Prepared,
        _name: Option<&'a str>,
        now: Moment,
    ) -> Later<'a, Result<Fate, NotKnown>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut world = self.world.lock();
            if let Some(told) = world.looking.pop_front() {
                return told;
            }
            let id = prepared.payout();
            if world.paid.contains_key(&id) && world.takes_back.is_some_and(|at| at <= now) {
                return Ok(Fate::Returned { reason: "refunded".to_owned(), cost: Nanos::ZERO });
            }
            if world.paid.contains_key(&id) {
                return Ok(Fate::Confirmed { reference: format!("TX-{id}"), cost: world.cost });
            }
            Ok(Fate::Unknown)
        })
    }
}

impl World {
    fn submit(&mut self, prepared: &Prepared, attempt: Attempt) -> Result<String, SubmitError> {
        let id = prepared.payout();
        assert!(
            attempt == Attempt::Again || !self.unrefused.contains(&id),
            "a first attempt behind one that may have left"
        );
        self.submissions.push((id, attempt));
        let submission = self.submitting.pop_front().unwrap_or(Submission::Taken);
        if let Submission::Refused(refusal) = &submission
            && attempt == Attempt::First
        {
            return Err(refusal.clone().into());
        }
        self.unrefused.insert(id);
        match submission {
            Submission::Taken | Submission::LostAfter => {
                let (_, bytes) = self.paid.entry(id).or_insert((prepared.amount(), prepared.to_bytes()));
                assert_eq!(*bytes, prepared.to_bytes(), "other bytes for a payout that was paid");
            }
            Submission::LostBefore | Submission::Refused(_) => {}
        }
        match submission {
            Submission::Taken => Ok(format!("NAME-{id}")),
            Submission::LostAfter | Submission::LostBefore | Submission::Refused(_) => {
                Err(NotKnown::Silent("no answer".to_owned()).into())
            }
        }
    }

    /// Returns what was paid in all.
    pub(super) fn paid(&self) -> i64 {
        self.paid.values().map(|(amount, _)| amount.get()).sum()
    }
}
