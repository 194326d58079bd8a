//! Revenue for the operator, usage for the operator and for pages.

use axum::{
    Json,
    extract::{ConnectInfo, Query, State, rejection::QueryRejection},
    http::HeaderMap,
};
use rekursing_protocol::Day;
use serde::Deserialize;

use super::{
    Problem, caller,
    posted::{Peer, Shared},
};
use crate::store::{Days, Holder, Revenue, Used, Whose};

/// Most days that are told at once.
const DAYS_MAX: u64 = 400;

/// Days that are told when none are named.
const DAYS: u64 = 30;

/// The days that are asked for, both included.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    from: Option<String>,
    to: Option<String>,
}

impl Asked {
    /// Returns the days: 30 up to today where none are named.
    fn days(self, today: Day) -> Result<Days, Problem> {
        let day = |field, text: Option<String>| {
            let read = |text: String| text.parse::<Day>();
            text.map(read).transpose().map_err(|_| Problem::field(field, "a day is written as 2026-03-01"))
        };
        let to = day("to", self.to)?.unwrap_or(today);
        let from = day("from", self.from)?.unwrap_or(Day((to.0 + 1).saturating_sub(DAYS)));
        if from > to {
            return Err(Problem::field("from", "from is not behind to"));
        }
        if to.0 - from.0 >= DAYS_MAX {
            return Err(Problem::field("from", "at most 400 days at once"));
        }
        Ok(Days { from, to })
    }
}

/// `GET /api/analytics/revenue`
pub(super) async fn revenue(
    State(house): Shared,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Revenue>, Problem> {
    caller::operator(&house, &headers)?;
    let days = asked?.0.days(Day(house.desk.now().day()))?;
    // What happened before the call is told.
    house.ads.flush().await;
    house.desk.store().flushed().await;
    let revenue = house.desk.store().revenue(days).await;
    Ok(Json(revenue.map_err(Problem::unread)?))
}

/// `GET /api/analytics/usage`
pub(super) async fn usage(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Used>, Problem> {
    let whose = match caller::operator(&house, &headers) {
        Ok(()) => Whose::Everyones,
        Err(_) => {
            let holder = caller::holder(&house, &headers, peer).await?;
            let Holder { account, spender, .. } = &holder;
            if spender.is_unlimited() { Whose::Account(*account) } else { Whose::Key(spender.key) }
        }
    };
    let days = asked?.0.days(Day(house.desk.now().day()))?;
    let used = house.desk.store().used(days, whose).await;
    Ok(Json(used.map_err(Problem::unread)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: Option<&str>, to: Option<&str>) -> Result<Days, Problem> {
        let asked = Asked { from: from.map(str::to_owned), to: to.map(str::to_owned) };
        asked.days("2026-03-31".parse().unwrap())
    }

    #[test]
    fn days_are_thirty_up_to_today_unless_named() {
        let days = asked(None, None).unwrap();
        assert_eq!((days.from.to_string(), days.to.to_string()), ("2026-03-02".into(), "2026-03-31".into()));
        let days = asked(Some("2026-01-01"), Some("2026-01-01")).unwrap();
        assert_eq!(days.from, days.to);
    }

    #[test]
    fn no_more_than_400_days_and_none_backwards() {
        assert!(asked(Some("2025-02-25"), None).is_ok());
        assert_eq!(asked(Some("2025-02-24"), None).unwrap_err().field.as_deref(), Some("from"));
        assert_eq!(asked(Some("2026-04-01"), None).unwrap_err().field.as_deref(), Some("from"));
        assert_eq!(asked(None, Some("yesterday")).unwrap_err().field.as_deref(), Some("to"));
    }
}
