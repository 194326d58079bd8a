//! The board: campaigns, what they have spent, and the ads that are out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rekursing_protocol::{AccountId, CampaignId, ImpressionId, Moment, Nanos, Span};

use super::{
    AdRefusal, AdTerms, Audience, BoardRefusal, Campaign, Choice, Counted, Happening, Prices, Shown, Spend,
    auction::{self, Entrant},
    campaign::Bid,
    caps::Caps,
    rates::{SeenRate, clicks_counted_ppm, clicks_ppm},
    spend::{Open, Stage, plus},
};
use crate::{
    ledger::{Account, Book, Cause, Transfer},
    random::Random,
};

/// Campaigns, what they have spent, and the ads that are out.
///
/// What an ad may cost is reserved when it is chosen. So at every moment what a campaign has spent and
/// reserved is within its budget, and what all campaigns of an account have reserved was within its balance.
#[derive(Debug, Default)]
pub struct Board {
    terms: AdTerms,
    campaigns: BTreeMap<CampaignId, Running>,
    open: HashMap<ImpressionId, Open>,
    deadlines: BTreeSet<(Moment, ImpressionId)>,
    reserved: HashMap<AccountId, Nanos>,
    /// Ads given, by campaign and visitor.
    caps: Caps<(CampaignId, u64)>,
    /// Clicks counted, by visitor.
    clicks: Caps<u64>,
    seen: SeenRate,
}

#[derive(Debug)]
struct Running {
    campaign: Campaign,
    spend: Spend,
}

impl Board {
    /// Makes an empty board.
    pub fn new(terms: AdTerms) -> Board {
        Board { terms, ..Board::default() }
    }

    /// Returns the terms.
    pub const fn terms(&self) -> &AdTerms {
        &self.terms
    }

    /// Puts a stored campaign back with what it has spent.
    pub fn restore(&mut self, id: CampaignId, campaign: Campaign, spend: Spend) {
        self.campaigns.insert(id, Running { campaign, spend: Spend { reserved: Nanos::ZERO, ..spend } });
    }

    /// Puts back what was counted of a visitor today, before a restart.
    pub fn recall(&mut self, now: Moment, shown: Shown) {
        let Shown { day, visitor, of, times } = shown;
        if day != now.day() {
            return;
        }
        match of {
            Some(campaign) => self.caps.restore(day, (campaign, visitor), times),
            None => self.clicks.restore(day, visitor, times),
        }
    }

    /// Takes what has changed of visitors' counts since the last time, to be stored.
    pub fn take_shown(&mut self) -> Vec<Shown> {
        let (day, given) = self.caps.take_changed();
        let given = given.into_iter();
        let given = given.map(|((of, visitor), times)| Shown { day, visitor, of: Some(of), times });
        let (day, clicks) = self.clicks.take_changed();
        let clicks = clicks.into_iter();
        given.chain(clicks.map(|(visitor, times)| Shown { day, visitor, of: None, times })).collect()
    }

    /// Tells whether a campaign, new or changed, may be put on the board.
    pub fn check(&self, now: Moment, id: CampaignId, campaign: &Campaign) -> Result<(), BoardRefusal> {
        // A campaign whose bid the operator's floor has overtaken may still be paused, or ended.
        let known_bid = self.campaigns.get(&id).map(|known| known.campaign.bid);
        if known_bid != Some(campaign.bid) && !self.is_enough(campaign) {
            return Err(BoardRefusal::BelowFloor(self.terms.floor));
        }
        if let Some(known) = self.campaigns.get(&id) {
            let spend = &known.spend;
            if known.campaign.account != campaign.account {
                return Err(BoardRefusal::Account);
            }
            for (spent, budget) in
                [(spend.total, campaign.budget.total), (spend.today(now), campaign.budget.daily)]
            {
                let bound = plus(spent, spend.reserved);
                if budget < bound {
                    return Err(BoardRefusal::Spent(bound));
                }
            }
            return Ok(());
        }
        if self.campaigns.len() >= self.terms.campaigns_max {
            return Err(BoardRefusal::Full);
        }
        let own = self.campaigns.values().filter(|known| known.campaign.account == campaign.account);
        if own.count() >= self.terms.campaigns_per_account_max {
            return Err(BoardRefusal::AccountFull);
        }
        Ok(())
    }

    /// Puts a campaign on the board, or changes it. Ads that are out keep their prices.
    pub fn put(&mut self, now: Moment, id: CampaignId, campaign: Campaign) -> Result<(), BoardRefusal> {
        self.check(now, id, &campaign)?;
        let spend = self.campaigns.get(&id).map(|known| known.spend).unwrap_or_default();
        self.campaigns.insert(id, Running { campaign, spend });
        Ok(())
    }

    /// Takes a campaign off the board. Ads of it that are out can still be seen and paid.
    pub fn remove(&mut self, id: CampaignId) {
        self.campaigns.remove(&id);
    }

    /// Returns a campaign and what it has spent.
    pub fn campaign(&self, id: CampaignId) -> Option<(&Campaign, &Spend)> {
        self.campaigns.get(&id).map(|running| (&running.campaign, &running.spend))
    }

    /// Returns every campaign, oldest first.
    pub fn campaigns(&self) -> impl Iterator<Item = (CampaignId, &Campaign, &Spend)> {
        self.campaigns.iter().map(|(id, running)| (*id, &running.campaign, &running.spend))
    }

    /// Returns how many ads are out.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Chooses an ad and reserves its price, or finds none. Among equals the seed decides. `balance` tells
    /// what an account has.
    pub fn choose(
        &mut self,
        now: Moment,
        impression: ImpressionId,
        seed: u64,
        audience: &Audience,
        balance: impl Fn(Account) -> Nanos,
    ) -> Option<Choice> {
        self.lapse(now);
        if self.open.len() >= self.terms.open_max || self.open.contains_key(&impression) {
            return None;
        }
        let (winner, next_score) = self.best(now, seed, audience, balance)?;
        let campaign = &self.campaigns.get(&winner.campaign)?.campaign;
        let (_, why) = auction::relevance(&self.terms, &campaign.targets, &audience.topic)?;
        let prices = auction::prices(&self.terms, &winner, next_score);
        let choice = Choice {
            impression,
            campaign: winner.campaign,
            creative: Arc::clone(&campaign.creative),
            why,
            prices,
            expected: self.expected(winner.campaign, prices),
        };
        let account = campaign.account;
        let deadline = now + self.terms.impression_within;
        let (visitor, day) = (audience.visitor, now.day());
        let (campaign, stage) = (winner.campaign, Stage::Chosen);
        let open = Open { campaign, account, visitor, day, since: now, deadline, prices, stage };
        self.caps.take(now, (winner.campaign, visitor));
        self.reserve(&open, open.reserved());
        self.deadlines.insert((deadline, impression));
        self.open.insert(impression, open);
        Some(choice)
    }

    /// Notes that an ad was sent: nobody can have seen it before.
    pub fn sent(&mut self, now: Moment, impression: ImpressionId) {
        if let Some(open) = self.open.get_mut(&impression).filter(|open| open.stage == Stage::Chosen) {
            open.since = now;
        }
    }

    /// Counts an impression, once, and charges it.
    ///
    /// # Errors
    /// When the ad is not out, was another visitor's or was sent too short a time ago; or when its account was
    /// emptied meanwhile, and then it is out no longer.
    pub fn confirm(
        &mut self,
        now: Moment,
        impression: ImpressionId,
        visitor: u64,
        book: &mut Book,
    ) -> Result<Counted, AdRefusal> {
        self.lapse(now);
        let open = self.shown_to(visitor, impression)?;
        if open.stage != Stage::Chosen {
            return Ok(Counted::Again);
        }
        open.has_stood(now, self.terms.impression_after)?;
        let happening = self.see(now, impression, book)?;
        Ok(Counted::New(vec![happening]))
    }

    /// Counts a click, once, and charges it. What was clicked has been seen, so an impression that nobody
    /// has confirmed counts with it, once the ad has been there for as long as both take.
    ///
    /// # Errors
    /// As [`Board::confirm`], and when no more clicks of the visitor count today.
    pub fn click(
        &mut self,
        now: Moment,
        impression: ImpressionId,
        visitor: u64,
        book: &mut Book,
    ) -> Result<Counted, AdRefusal> {
        self.lapse(now);
        let open = self.shown_to(visitor, impression)?;
        let AdTerms { impression_after, click_after, .. } = self.terms;
        let mut happenings = Vec::with_capacity(2);
        match open.stage {
            Stage::Clicked => return Ok(Counted::Again),
            Stage::Chosen => {
                open.has_stood(now, Span(impression_after.0.saturating_add(click_after.0)))?;
                happenings.push(self.see(now, impression, book)?);
            }
            Stage::Seen => open.has_stood(now, click_after)?,
        }
        match self.follow(now, impression, visitor, book) {
            Ok(happening) => happenings.push(happening),
            Err(refusal) if happenings.is_empty() => return Err(refusal),
            // The impression was paid for and counts without its click.
            Err(_) => {}
        }
        Ok(Counted::New(happenings))
    }

    /// Takes back an ad that was chosen and not delivered.
    pub fn release(&mut self, impression: ImpressionId) {
        if self.open.get(&impression).is_some_and(|open| open.stage == Stage::Chosen) {
            self.forget(impression);
        }
    }

    /// Forgets the ads whose time is over, and what was reserved for them.
    pub fn lapse(&mut self, now: Moment) {
        while let Some(&(deadline, impression)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            if self.open.get(&impression).is_some_and(|open| open.stage == Stage::Chosen) {
                self.seen.note(&self.terms, 0);
            }
            self.forget(impression);
        }
    }

    fn shown_to(&self, visitor: u64, impression: ImpressionId) -> Result<&Open, AdRefusal> {
        let open = self.open.get(&impression).ok_or(AdRefusal::NotOut)?;
        if open.visitor == visitor { Ok(open) } else { Err(AdRefusal::OtherVisitor) }
    }

    /// Tells whether one more click of a visitor would count.
    fn may_click(&self, now: Moment, visitor: u64) -> bool {
        self.clicks.allow(now, &visitor, self.terms.clicks_per_visitor_day, self.terms.pairs_max)
    }

    /// Returns the best ad that its account can pay, and the score of the next one of another account.
    fn best(
        &self,
        now: Moment,
        seed: u64,
        audience: &Audience,
        balance: impl Fn(Account) -> Nanos,
    ) -> Option<(Entrant, u128)> {
        let enter = |(id, running)| self.entrant(now, id, running, audience);
        let mut entrants: Vec<_> = self.campaigns.iter().filter_map(enter).collect();
        let draw = |entrant: &Entrant| {
            let [low, high] = [entrant.campaign.bits(), entrant.campaign.bits() >> 64];
            let folded = u64::try_from((low ^ high) & u128::from(u64::MAX)).unwrap_or_default();
            Random::new(seed ^ folded).next()
        };
        entrants.sort_by_cached_key(|entrant| std::cmp::Reverse((entrant.score, draw(entrant))));
        let mut payable = entrants.into_iter().filter_map(|entrant| {
            let account = self.campaigns.get(&entrant.campaign)?.campaign.account;
            let can_pay = self.can_pay(account, entrant.bid, balance(Account::Advertiser(account)));
            can_pay.then_some((account, entrant))
        });
        let (account, winner) = payable.next()?;
        let next = payable.find(|(other, _)| *other != account);
        Some((winner, next.map_or(0, |(_, entrant)| entrant.score)))
    }

    /// Lets a campaign enter the auction, if it may and fits.
    fn entrant(
        &self,
        now: Moment,
        id: &CampaignId,
        Running { campaign, spend }: &Running,
        audience: &Audience,
    ) -> Option<Entrant> {
        let Campaign { budget, targets, .. } = campaign;
        let runs = !campaign.paused && campaign.starts <= now && now < campaign.ends;
        let is_there = targets.countries.is_empty()
            || audience.country.is_some_and(|country| targets.countries.contains(&country));
        if !runs || !is_there || !self.is_enough(campaign) {
            return None;
        }
        // A click that would not count is worth nothing.
        let click = if self.may_click(now, audience.visitor) { campaign.bid.click } else { Nanos::ZERO };
        let bid = Bid { click, ..campaign.bid };
        if bid.whole() == Nanos::ZERO {
            return None;
        }
        let whole = plus(spend.reserved, bid.whole());
        if plus(spend.total, whole) > budget.total || plus(spend.today(now), whole) > budget.daily {
            return None;
        }
        let (permille, _) = auction::relevance(&self.terms, targets, &audience.topic)?;
        let pair = (*id, audience.visitor);
        if !self.caps.allow(now, &pair, campaign.per_visitor_day, self.terms.pairs_max) {
            return None;
        }
        let clicks = clicks_ppm(&self.terms, spend.impressions, spend.clicks);
        Some(Entrant { campaign: *id, bid, score: auction::score(permille, bid, clicks) })
    }

    /// Tells whether a bid is at the floor or above, in each part that it has. One that is not is never shown.
    pub fn is_enough(&self, campaign: &Campaign) -> bool {
        let Campaign { bid, .. } = campaign;
        let parts = [(bid.impression(), self.terms.floor.impression()), (bid.click, self.terms.floor.click)];
        parts.into_iter().all(|(part, floor)| part == Nanos::ZERO || part >= floor)
    }

    /// Tells whether a campaign's account, which has this balance, can pay the next impression for which it
    /// bids, beside what is reserved for those that are out. One that cannot is not shown.
    pub fn is_funded(&self, campaign: &Campaign, balance: Nanos) -> bool {
        let bid = Bid { click: Nanos::ZERO, ..campaign.bid };
        // Whoever bids for clicks alone pays nothing for being seen, but the click has to be there.
        let bid = if bid.whole() == Nanos::ZERO { campaign.bid } else { bid };
        self.can_pay(campaign.account, bid, balance)
    }

    fn can_pay(&self, account: AccountId, bid: Bid, balance: Nanos) -> bool {
        let reserved = self.reserved.get(&account).copied().unwrap_or_default();
        balance.checked_sub(reserved).is_some_and(|left| left >= bid.whole())
    }

    fn expected(&self, campaign: CampaignId, prices: Prices) -> Nanos {
        let spend = self.campaigns.get(&campaign).map(|running| running.spend).unwrap_or_default();
        let clicks = clicks_counted_ppm(&self.terms, spend.impressions, spend.clicks);
        let seen = u128::from(self.seen.ppm(&self.terms));
        let millionfold = auction::millionfold(prices.impression, prices.click, clicks);
        let million = u128::from(auction::MILLION);
        Nanos::new(i64::try_from(millionfold * seen / (million * million)).unwrap_or(i64::MAX))
    }

    /// Counts and charges an impression. What is then left to happen is a click.
    fn see(
        &mut self,
        now: Moment,
        impression: ImpressionId,
        book: &mut Book,
    ) -> Result<Happening, AdRefusal> {
        let happening = self.charge(now, impression, Cause::Impression, book)?;
        self.seen.note(&self.terms, 1);
        if let Some(open) = self.open.get_mut(&impression) {
            self.deadlines.remove(&(open.deadline, impression));
            open.since = now;
            open.deadline = now + self.terms.click_within;
            self.deadlines.insert((open.deadline, impression));
        }
        Ok(happening)
    }

    /// Counts and charges a click, if one more of the visitor counts.
    fn follow(
        &mut self,
        now: Moment,
        impression: ImpressionId,
        visitor: u64,
        book: &mut Book,
    ) -> Result<Happening, AdRefusal> {
        if !self.may_click(now, visitor) {
            return Err(AdRefusal::ClicksUsed);
        }
        let happening = self.charge(now, impression, Cause::Click, book)?;
        self.clicks.take(now, visitor);
        Ok(happening)
    }

    /// Moves the money for an impression or a click out of what was reserved for it.
    fn charge(
        &mut self,
        now: Moment,
        impression: ImpressionId,
        cause: Cause,
        book: &mut Book,
    ) -> Result<Happening, AdRefusal> {
        let open = self.open.get(&impression).cloned().ok_or(AdRefusal::NotOut)?;
        let clicked = cause == Cause::Click;
        let amount = if clicked { open.prices.click } else { open.prices.impression };
        let transfer = Transfer {
            cause,
            from: Account::Advertiser(open.account),
            to: Account::Free,
            amount,
            note: open.campaign.to_string(),
        };
        let entry = if amount == Nanos::ZERO {
            None
        } else {
            match book.transfer(now, &impression.to_string(), transfer) {
                Ok(entry) => Some(entry),
                Err(refusal) => {
                    self.forget(impression);
                    return Err(AdRefusal::Book(refusal));
                }
            }
        };
        self.unreserve(&open, amount);
        if let Some(Running { spend, .. }) = self.campaigns.get_mut(&open.campaign) {
            spend.pay(now, amount);
            let count = if clicked { &mut spend.clicks } else { &mut spend.impressions };
            *count += 1;
        }
        if let Some(open) = self.open.get_mut(&impression) {
            open.stage = if clicked { Stage::Clicked } else { Stage::Seen };
        }
        Ok(Happening { cause, campaign: open.campaign, entry })
    }

    fn forget(&mut self, impression: ImpressionId) {
        let Some(open) = self.open.remove(&impression) else { return };
        self.deadlines.remove(&(open.deadline, impression));
        self.unreserve(&open, open.reserved());
        if open.stage == Stage::Chosen {
            self.caps.give_back(open.day, &(open.campaign, open.visitor));
        }
    }

    fn reserve(&mut self, open: &Open, amount: Nanos) {
        if let Some(running) = self.campaigns.get_mut(&open.campaign) {
            running.spend.reserved = plus(running.spend.reserved, amount);
        }
        let of_account = self.reserved.entry(open.account).or_default();
        *of_account = plus(*of_account, amount);
    }

    fn unreserve(&mut self, open: &Open, amount: Nanos) {
        let back = Nanos::new(-amount.get());
        self.reserve(open, back);
        if self.reserved.get(&open.account) == Some(&Nanos::ZERO) {
            self.reserved.remove(&open.account);
        }
    }
}

#[cfg(test)]
mod tests;
