//! Premium accounts: how one is bought, goes on, and ends.

use rekursing_protocol::{AccountId, Moment, Nanos};

use super::Market;
use crate::{
    effect::Effect,
    ledger::{Account, BookRefusal, Cause, Entry, Transfer},
    premium::{self, Premium, PremiumRefusal},
};

impl Market {
    /// Makes an account premium for a period at `price_max` at most, and lets it go on for as much. While a
    /// period lasts none is paid for, so that to do it twice is to do it once.
    pub fn subscribe(
        &mut self,
        now: Moment,
        account: AccountId,
        price_max: Nanos,
    ) -> Result<Premium, PremiumRefusal> {
        let until = match self.premiums.of(now, account) {
            Some(premium) => {
                self.premium_price(price_max)?;
                premium.until
            }
            None => self.pay_premium(now, account, now, price_max)?,
        };
        Ok(self.renew_for(account, until, Some(price_max)))
    }

    /// Lets an account's premium end with its period. Returns what is left of it, if anything is.
    pub fn unsubscribe(&mut self, now: Moment, account: AccountId) -> Option<Premium> {
        // A period that is over and was not looked at yet does not go on either.
        let Premium { until, .. } = self.premiums.known(account)?;
        Some(self.renew_for(account, until, None)).filter(|premium| premium.until > now)
    }

    /// Returns an account's premium while it lasts.
    pub fn premium(&self, now: Moment, account: AccountId) -> Option<Premium> {
        self.premiums.of(now, account)
    }

    /// Lets premium accounts go on whose period is over, for the price of today: those that want to, have
    /// agreed to as much, and have it.
    pub(super) fn renew_due(&mut self, now: Moment) {
        while let Some((account, Premium { until, renews_for })) = self.premiums.take_ended(now) {
            let Some(price_max) = renews_for else { continue };
            // A relay that was away for long does not charge for that time.
            let from = if now.since(until) < self.terms.premium_period { until } else { now };
            match self.pay_premium(now, account, from, price_max) {
                Ok(until) => self.premiums.put(account, Premium { until, renews_for }),
                Err(_) => self.effects.push(Effect::Renewal { account, renews_for: None }),
            }
        }
    }

    /// Ends what an entry had paid for, unless a later period has begun.
    pub(super) fn end_premium_of(&mut self, entry: &Entry) {
        if let Some((account, until)) = premium::paid(entry)
            && self.premiums.known(account).is_some_and(|premium| premium.until == until)
            && self.premiums.remove(account).is_some()
        {
            self.effects.push(Effect::Renewal { account, renews_for: None });
        }
    }

    fn premium_price(&self, price_max: Nanos) -> Result<Nanos, PremiumRefusal> {
        let price = self.terms.premium_price.ok_or(PremiumRefusal::NotOffered)?;
        if price > price_max { Err(PremiumRefusal::Dearer { price }) } else { Ok(price) }
    }

    /// Pays for a period that begins at `from`. Returns its end.
    fn pay_premium(
        &mut self,
        now: Moment,
        account: AccountId,
        from: Moment,
        price_max: Nanos,
    ) -> Result<Moment, PremiumRefusal> {
        let price = self.premium_price(price_max)?;
        let until = from + self.terms.premium_period;
        let transfer = Transfer {
            cause: Cause::Premium,
            from: Account::Page(account),
            to: Account::Platform,
            amount: price,
            note: String::new(),
        };
        let paid = self.book.transfer(now, &premium::id(account, until), transfer);
        self.record(paid.map_err(|refusal| {
            if let BookRefusal::Insufficient { available, .. } = refusal {
                PremiumRefusal::Insufficient { price, available }
            } else {
                PremiumRefusal::Refused(refusal)
            }
        })?);
        Ok(until)
    }

    fn renew_for(&mut self, account: AccountId, until: Moment, renews_for: Option<Nanos>) -> Premium {
        let premium = Premium { until, renews_for };
        self.premiums.put(account, premium);
        self.effects.push(Effect::Renewal { account, renews_for });
        premium
    }
}
