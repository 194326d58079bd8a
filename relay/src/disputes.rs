//! Disputes: whoever paid for a job says that its answer was wrong, and the operator decides.
//!
//! Which job may be disputed and which step follows which is `rekursing_market::dispute`'s to say. One thing is done
//! at a time, so that no job is disputed twice and none decided twice.

use rekursing_market::{
    Account,
    dispute::{self, BadStep, Reason, Refusal, State, Step},
    ledger::{BookRefusal, CorrectionRefusal, Entry, EntryKind, SetAside, Settle},
};
use rekursing_protocol::{AccountId, JobId};
use tokio::sync::Mutex;

use crate::{
    house::House,
    payouts,
    print::Print,
    store::{Act, Correctable, Deed, Dispute, Prints},
};

/// Held while one dispute is opened or decided.
#[derive(Debug, Default)]
pub struct Disputes {
    turn: Mutex<()>,
}

/// What whoever paid for a job says of it.
#[derive(Debug)]
pub struct Complaint {
    /// The job.
    pub job: JobId,
    /// What is wrong with the answer.
    pub reason: Reason,
    /// The same in his words.
    pub words: String,
    /// The prompt, if it is attached.
    pub prompt: Option<String>,
    /// The answer, if it is attached.
    pub answer: Option<String>,
}

/// Why something about disputes is not done.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// The account has paid for no such job.
    #[error("you have no such job")]
    NotFound,
    /// The job has not ended, or came to nothing.
    #[error("a job is disputed once it was charged")]
    NotEnded,
    /// It may not be disputed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was disputed before.
    #[error("this job was disputed before, and the dispute is {0}")]
    Before(State),
    /// What is attached is not what the job asked or answered.
    #[error("this is not the {0} of the job, or the relay keeps no hash of it any more")]
    Differs(&'static str),
    /// There is no dispute of this job.
    #[error("this job is not disputed")]
    NotDisputed,
    /// The step does not follow.
    #[error(transparent)]
    BadStep(#[from] BadStep),
    /// The charge cannot be given back.
    #[error(transparent)]
    Correction(#[from] CorrectionRefusal),
    /// A payout cannot be taken back.
    #[error("the owner's payouts cannot be taken back")]
    Payouts(#[from] payouts::Denial),
    /// The book refuses.
    #[error(transparent)]
    Book(#[from] BookRefusal),
    /// No money can be moved now.
    #[error("no money can be moved now")]
    StoreDown,
    /// The store failed.
    #[error("the store does not do it")]
    Store(#[from] anyhow::Error),
}

impl Disputes {
    /// Opens a dispute.
    ///
    /// # Errors
    /// When it may not be; and when the store fails. Nothing moved.
    pub async fn open(
        &self,
        house: &House,
        account: AccountId,
        complaint: Complaint,
    ) -> Result<Dispute, Denial> {
        let _turn = self.turn.lock().await;
        let store = house.desk.store();
        store.flushed().await;
        let Complaint { job, reason, words, prompt, answer } = complaint;
        let known = store.job(job).await?.ok_or(Denial::NotFound)?;
        let EntryKind::Hold { payer, .. } = &known.hold.kind else { return Err(Denial::NotFound) };
        if *payer == Account::Free {
            return Err(Refusal::Free.into());
        }
        if *payer != Account::Page(account) {
            return Err(Denial::NotFound);
        }
        let Some(Entry { at, kind: EntryKind::Settle(settle), .. }) = &known.end else {
            return Err(Denial::NotEnded);
        };
        if let Some(before) = store.dispute(job).await? {
            return Err(Denial::Before(before.state));
        }
        let now = house.desk.now();
        let record = store.dispute_record(account, now).await?;
        dispute::may_open(now, *at, settle, known.given_back, record)?;
        if prompt.is_some() || answer.is_some() {
            let kept = store.prints(job).await?;
            let kept = |print: fn(&Prints) -> Option<[u8; 32]>| kept.as_ref().and_then(print);
            is_of(job, "prompt", prompt.as_deref(), kept(|prints| prints.prompt))?;
            is_of(job, "answer", answer.as_deref(), kept(|prints| prints.answer))?;
        }
        may_move(house)?;
        let row = Dispute {
            job,
            account,
            owner: settle.owner,
            model: settle.model.clone(),
            charge: settle.charge,
            reason,
            words,
            prompt,
            answer,
            aside: SetAside::default(),
            state: State::Opened,
            told: String::new(),
            opened: now,
            reviewed: None,
            decided: None,
        };
        let row = match house.desk.open_dispute(settle, row) {
            // Somebody took it back a moment ago.
            Err(BookRefusal::Exists) => return Err(Refusal::GivenBack.into()),
            opened => opened?,
        };
        store.flushed().await;
        Ok(row)
    }

    /// Takes a step of the operator's. One that was taken before changes nothing.
    ///
    /// # Errors
    /// When it does not follow, or the charge cannot be given back; and when the store fails. Nothing moved.
    pub async fn step(
        &self,
        house: &House,
        who: &str,
        job: JobId,
        step: Step,
        told: &str,
    ) -> Result<Dispute, Denial> {
        let _turn = self.turn.lock().await;
        let store = house.desk.store();
        store.flushed().await;
        let row = store.dispute(job).await?.ok_or(Denial::NotDisputed)?;
        if dispute::after(row.state, step)? == row.state {
            return Ok(row);
        }
        may_move(house)?;
        let entry = format!("settle:{job}");
        let deed = match step {
            Step::Review => Deed::DisputeReviewed,
            Step::Uphold => Deed::DisputeUpheld,
            Step::Reject => Deed::DisputeRejected,
        };
        let act = Act::of(who, deed, &entry, told);
        let row = match step {
            Step::Review => house.desk.review_dispute(row, told, act),
            Step::Reject => {
                let known = store.correctable(entry).await?.ok_or(Denial::NotFound)?;
                house.desk.reject_dispute(settle_of(&known.entry)?, row, told, act)?
            }
            Step::Uphold => uphold(house, who, row, told, act).await?,
        };
        store.flushed().await;
        if row.state == State::Upheld {
            house.qualities.put(row.owner, store.quality(house.desk.now(), row.owner).await?);
        }
        Ok(row)
    }
}

/// Takes the charge of a disputed job back, by the same rules as any other.
async fn uphold(house: &House, who: &str, row: Dispute, told: &str, act: Act) -> Result<Dispute, Denial> {
    // What is reported of a payment meanwhile is booked before or after, and never beside.
    let _alone = match &house.top_ups {
        Some(top_ups) => Some(top_ups.booking().await),
        None => None,
    };
    let store = house.desk.store();
    let id = format!("settle:{}", row.job);
    let Correctable { entry, before, charged } =
        store.correctable(id.clone()).await?.ok_or(Denial::NotFound)?;
    if before {
        return Err(CorrectionRefusal::Book(BookRefusal::Exists).into());
    }
    let settle = settle_of(&entry)?;
    let debts = store.debts(settle.payer).await?;
    let reason = format!("{id} was taken back: {told}");
    let aside = row.aside.sum();
    let _still = house.payouts.recall(settle, aside, who, &reason, house.desk.now()).await?;
    let act = Act { amount: Some(settle.charge), ..act };
    Ok(house.desk.uphold_dispute((&entry, settle), charged.as_ref(), &debts, row, told, act)?)
}

/// Checks that an attached text is the one of which a print was kept.
fn is_of(job: JobId, field: &'static str, text: Option<&str>, kept: Option<[u8; 32]>) -> Result<(), Denial> {
    let Some(text) = text else { return Ok(()) };
    let mut print = Print::of(job);
    print.push(text);
    if kept == Some(print.hash()) { Ok(()) } else { Err(Denial::Differs(field)) }
}

fn may_move(house: &House) -> Result<(), Denial> {
    if house.desk.store().is_healthy() { Ok(()) } else { Err(Denial::StoreDown) }
}

fn settle_of(entry: &Entry) -> Result<&Settle, Denial> {
    match &entry.kind {
        EntryKind::Settle(settle) => Ok(settle),
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => Err(Denial::NotFound),
    }
}
