//! Ads: the board of campaigns behind a lock, its tokens and its counts.
//!
//! Which ad stands beside an answer, and what it costs, is `rekursing_market::ads`' to say. What is here
//! hands it the conversation, on a thread of its own while the answer is being made, and stores what follows.
//!
//! A choice looks at every campaign under the board's lock. So no thread that serves sockets waits for that
//! lock on behalf of an answer. The order of locks is the board's, then the desk's.

mod placing;
mod spec;
mod tally;
mod token;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use parking_lot::{Mutex, MutexGuard};
use rekursing_market::{
    Account, Payer,
    ads::{
        AdRefusal, Audience, Board, BoardRefusal, Campaign, Choice, Counted, Country, Happening, Silence,
        Spend, Topic,
    },
    ledger::{Book, Cause},
};
use rekursing_protocol::{AccountId, CampaignId, ImpressionId, JobId, Moment, Nanos, Span, frame::Call};

pub use placing::{Placement, Placing};
pub use spec::{Spec, Wrong};
use tally::Tally;
use token::{Tokens, Use};

use crate::{
    chance,
    config::Config,
    conversation,
    desk::Desk,
    store::{Act, Placed, Store, Unstarted},
    switches::{Feature, Switches},
    telemetry,
    work::Work,
};

/// The ads of a relay.
#[derive(Debug)]
pub struct Ads {
    board: Mutex<Board>,
    /// What became of ads that were chosen, until the board is free to hear of it.
    news: Mutex<Vec<News>>,
    specs: Mutex<BTreeMap<CampaignId, Spec>>,
    tally: Mutex<Tally>,
    tokens: Tokens,
    desk: Desk,
    switches: Arc<Switches>,
    /// Changes of campaigns, one after the other.
    changing: tokio::sync::Mutex<()>,
}

/// What became of an ad that was chosen.
#[derive(Debug, Clone, Copy)]
enum News {
    /// It was sent to its page.
    Sent(ImpressionId, Moment),
    /// Nobody took it.
    Unsent(ImpressionId),
}

/// What was stored of ads.
#[derive(Debug)]
pub struct Kept {
    board: Board,
    specs: BTreeMap<CampaignId, Spec>,
    key: [u8; 32],
}

/// A campaign as its advertiser sees it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: CampaignId,
    /// Whose it is.
    pub account: AccountId,
    /// Its terms.
    pub spec: Spec,
    /// What it has spent.
    pub spend: Spend,
    /// Whether its bid is at the floor or above; else it is not shown.
    pub is_enough: bool,
    /// Whether its account can pay one more impression; else it is not shown.
    pub is_funded: bool,
}

/// Why a campaign is not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// The board refuses it.
    Refused(BoardRefusal),
    /// It could not be stored.
    Store(anyhow::Error),
}

/// Why an ad was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCounted {
    /// The token is none of this relay's.
    Token,
    /// The ad is not out any more.
    Over,
    /// The ad was sent to another visitor.
    OtherVisitor,
    /// The ad has not been there long enough.
    TooSoon {
        /// How much longer it takes.
        wait: Span,
    },
    /// As many of the visitor's clicks as may count today have counted.
    ClicksUsed,
}

impl Kept {
    /// Reads the campaigns, what they have spent, and the key for tokens, which is made the first time.
    pub fn read(unstarted: &mut Unstarted, config: &Config, now: Moment) -> Result<Kept> {
        let mut board = Board::new(config.ad_terms());
        let mut specs = BTreeMap::new();
        for (placed, spend) in unstarted.campaigns(now)? {
            let Placed { id, account, body } = placed;
            let mut spec: Spec =
                serde_json::from_str(&body).with_context(|| format!("{id} does not read"))?;
            match spec.campaign(account, now) {
                Ok(campaign) => {
                    board.restore(id, campaign, spend);
                    specs.insert(id, spec);
                }
                // The lists of words and categories may have changed since.
                Err(wrong) => tracing::warn!(%id, field = wrong.field, "a campaign does not hold any more"),
            }
        }
        let known_max = board.terms().pairs_max.saturating_mul(2);
        for shown in unstarted.shown(now, known_max)? {
            board.recall(now, shown);
        }
        let key = unstarted.relay_key("ads", chance::bytes())?;
        Ok(Kept { board, specs, key })
    }
}

impl Ads {
    /// Takes up the ads where they were kept.
    pub fn new(kept: Kept, desk: Desk, switches: Arc<Switches>) -> Arc<Ads> {
        Arc::new(Ads {
            board: Mutex::new(kept.board),
            news: Mutex::default(),
            specs: Mutex::new(kept.specs),
            tally: Mutex::default(),
            tokens: Tokens::new(kept.key),
            desk,
            switches,
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// Makes a campaign or changes it, durably, and with it what the operator's log says of it.
    pub async fn put(
        &self,
        id: CampaignId,
        campaign: Campaign,
        spec: Spec,
        act: Option<Act>,
    ) -> Result<(), NotTaken> {
        let _turn = self.changing.lock().await;
        let now = self.desk.now();
        let account = campaign.account;
        let before = {
            let mut board = self.board();
            let before = board.campaign(id).map(|(campaign, _)| campaign.clone());
            board.put(now, id, campaign).map_err(NotTaken::Refused)?;
            before
        };
        let body = serde_json::to_string(&spec).context("the terms do not print").map_err(NotTaken::Store)?;
        if let Err(error) = self.store().put_campaign(now, Placed { id, account, body }, act).await {
            self.put_back(now, id, before);
            return Err(NotTaken::Store(error));
        }
        self.specs.lock().insert(id, spec);
        Ok(())
    }

    /// Undoes a change that could not be stored.
    fn put_back(&self, now: Moment, id: CampaignId, before: Option<Campaign>) {
        let mut board = self.board();
        match before {
            None => board.remove(id),
            Some(before) => {
                // A budget that was lowered and then spent up to cannot be in the way of a higher one.
                if let Err(refusal) = board.put(now, id, before) {
                    tracing::warn!(%id, %refusal, "a campaign keeps terms that are not stored");
                }
            }
        }
    }

    /// Returns a campaign.
    pub fn campaign(&self, id: CampaignId) -> Option<Listed> {
        let spec = self.specs.lock().get(&id)?.clone();
        let board = self.board();
        let (campaign, spend) = board.campaign(id)?;
        Some(Listed {
            id,
            account: campaign.account,
            spec,
            spend: *spend,
            is_enough: board.is_enough(campaign),
            is_funded: self.is_funded(&board, campaign),
        })
    }

    /// Returns the campaigns of an account, or of all, oldest first.
    pub fn campaigns(&self, account: Option<AccountId>) -> Vec<Listed> {
        let spends: Vec<_> = {
            let board = self.board();
            let known =
                board.campaigns().filter(|(_, of, _)| account.is_none_or(|account| account == of.account));
            let listed = known.map(|(id, of, spend)| {
                (id, of.account, *spend, board.is_enough(of), self.is_funded(&board, of))
            });
            listed.collect()
        };
        let specs = self.specs.lock();
        let listed = spends.into_iter().filter_map(|(id, account, spend, is_enough, is_funded)| {
            Some(Listed { id, account, spec: specs.get(&id)?.clone(), spend, is_enough, is_funded })
        });
        listed.collect()
    }

    fn is_funded(&self, board: &Board, campaign: &Campaign) -> bool {
        board.is_funded(campaign, self.desk.balance(Account::Advertiser(campaign.account)))
    }

    /// Tells whether there is any campaign.
    fn has_campaigns(&self) -> bool {
        self.switches.is_on(Feature::Ads) && !self.specs.lock().is_empty()
    }

    /// Counts an impression by its token, once, durably, for the visitor to whom it was sent. `false` when it
    /// has been counted before.
    pub async fn seen(self: &Arc<Ads>, token: &str, visitor: u64) -> Result<bool, NotCounted> {
        let (impression, _) = self.tokens.read(Use::Seen, token).ok_or(NotCounted::Token)?;
        let counted =
            self.count(move |board, book, now| board.confirm(now, impression, visitor, book)).await?;
        if counted {
            self.flush().await;
            self.store().flushed().await;
        }
        Ok(counted)
    }

    /// Counts a click by its token, once, of the visitor to whom the ad was sent.
    pub async fn clicked(self: &Arc<Ads>, token: &str, visitor: u64) -> Result<bool, NotCounted> {
        let (impression, _) = self.tokens.read(Use::Clicked, token).ok_or(NotCounted::Token)?;
        self.count(move |board, book, now| board.click(now, impression, visitor, book)).await
    }

    /// Returns where a click with this token leads, also when it does not count any more.
    pub fn destination(&self, token: &str) -> Option<String> {
        let (_, campaign) = self.tokens.read(Use::Clicked, token)?;
        self.specs.lock().get(&campaign).map(|spec| spec.link.clone())
    }

    /// Stores what has been counted.
    pub async fn flush(&self) {
        let counts = self.tally.lock().take();
        if counts.is_empty() {
            return;
        }
        if let Err(error) = self.store().add_ad_counts(counts.clone()).await {
            tracing::warn!(error = format!("{error:#}"), "could not store the counts of ads; trying again");
            self.tally.lock().put_back(counts);
        }
    }

    /// Lets time pass: what was set aside for ads that nobody saw is free again.
    pub fn tick(&self) {
        // Whoever holds the board lets time pass himself.
        if let Some(mut board) = self.board.try_lock() {
            self.hear(&mut board);
            board.lapse(self.desk.now());
            self.keep(&mut board);
        }
    }

    /// Has what has changed of visitors' counts stored.
    fn keep(&self, board: &mut Board) {
        board.take_shown().into_iter().for_each(|shown| self.store().shown(shown));
    }

    /// Tells the board what became of an ad, at once or as soon as it is free.
    fn tell(&self, news: News) {
        self.news.lock().push(news);
        if let Some(mut board) = self.board.try_lock() {
            self.hear(&mut board);
            self.keep(&mut board);
        }
    }

    fn hear(&self, board: &mut Board) {
        let heard = std::mem::take(&mut *self.news.lock());
        for news in heard {
            match news {
                News::Sent(impression, at) => board.sent(at, impression),
                News::Unsent(impression) => board.release(impression),
            }
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        let mut board = self.board.lock();
        self.hear(&mut board);
        board
    }

    /// Chooses an ad for a job's free answer to these fields of a request, or says why there is none. It takes
    /// about as long as it takes to read the fields once.
    pub fn place(
        self: &Arc<Ads>,
        job: JobId,
        fields: &str,
        visitor: u64,
        country: Option<Country>,
    ) -> Result<Placement, &'static str> {
        self.choose(fields, visitor, country).map(|choice| Placement::new(Arc::clone(self), job, choice))
    }

    fn choose(&self, fields: &str, visitor: u64, country: Option<Country>) -> Result<Choice, &'static str> {
        let conversation = conversation::read(fields).filter(|said| said.is_all_text).ok_or("unread")?;
        let topic = Topic::read(&conversation.question, &conversation.before);
        let topic = topic.map_err(|silence| match silence {
            Silence::Sensitive(_) => "sensitive",
            Silence::TooLong => "too_long",
            Silence::Unread => "unread",
        })?;
        if !self.store().is_healthy() {
            return Err("store_unavailable");
        }
        let now = self.desk.now();
        let (ms, random) = chance::id(now);
        let seed = u64::from_le_bytes(chance::bytes());
        let audience = Audience { topic, visitor, country };
        let balance = |account| self.desk.balance(account);
        let impression = ImpressionId::new(ms, random);
        let mut board = self.board();
        let choice = board.choose(now, impression, seed, &audience, balance);
        self.keep(&mut board);
        choice.ok_or("none_fits")
    }

    /// Counts what happened to an ad, beside the threads that serve sockets.
    async fn count(
        self: &Arc<Ads>,
        count: impl FnOnce(&mut Board, &mut Book, Moment) -> Result<Counted, AdRefusal> + Send + 'static,
    ) -> Result<bool, NotCounted> {
        let ads = Arc::clone(self);
        let counted = tokio::task::spawn_blocking(move || ads.count_now(count)).await;
        counted.unwrap_or(Err(NotCounted::Over))
    }

    fn count_now(
        &self,
        count: impl FnOnce(&mut Board, &mut Book, Moment) -> Result<Counted, AdRefusal>,
    ) -> Result<bool, NotCounted> {
        let mut board = self.board();
        let (counted, now) = self.desk.post(|book, now| {
            let counted = count(&mut board, book, now);
            let happenings = match &counted {
                Ok(Counted::New(happenings)) => happenings.as_slice(),
                Ok(Counted::Again) | Err(_) => &[],
            };
            let entries = happenings.iter().filter_map(|happening| happening.entry.clone()).collect();
            ((counted, now), entries)
        });
        self.keep(&mut board);
        drop(board);
        match counted {
            Ok(Counted::New(happenings)) => {
                happenings.iter().for_each(|happening| self.note(now, happening));
                Ok(true)
            }
            Ok(Counted::Again) => Ok(false),
            Err(AdRefusal::NotOut | AdRefusal::Book(_)) => Err(NotCounted::Over),
            Err(AdRefusal::OtherVisitor) => Err(NotCounted::OtherVisitor),
            Err(AdRefusal::TooSoon { wait }) => Err(NotCounted::TooSoon { wait }),
            Err(AdRefusal::ClicksUsed) => Err(NotCounted::ClicksUsed),
        }
    }

    /// Counts an answer beside which an ad may stand.
    pub fn answers(&self, work: &Work) {
        if may_stand_beside(work) {
            self.tally.lock().asked(self.desk.now());
        }
    }

    /// Counts what no entry tells.
    fn note(&self, now: Moment, happening: &Happening) {
        let cost = happening.entry.as_ref().and_then(|entry| entry.postings().next());
        let cost = cost.map_or(Nanos::ZERO, |posting| posting.amount);
        let is_click = happening.cause == Cause::Click;
        telemetry::ad(if is_click { "clicked" } else { "seen" }, cost);
        if happening.entry.is_some() {
            return;
        }
        let mut tally = self.tally.lock();
        if is_click { tally.clicked(now, happening.campaign) } else { tally.seen(now, happening.campaign) }
    }

    fn store(&self) -> &Store {
        self.desk.store()
    }
}

/// Tells whether an ad may stand beside an answer: one that is free, and read by somebody.
fn may_stand_beside(work: &Work) -> bool {
    matches!(work.payer, Payer::Free { .. }) && work.call != Call::Embedding
}

#[cfg(test)]
pub(crate) mod tests;
