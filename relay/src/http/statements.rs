//! Monthly statements in JSON and CSV.

use axum::{
    Json,
    extract::{
        ConnectInfo, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rekursing_protocol::{Day, Month};
use serde::{Deserialize, Serialize};

use super::{
    Problem, caller, plugins,
    posted::{Named, Peer, Shared},
};
use crate::{csv::Csv, house::House, store};

/// In which form a statement is wanted; without one, as `Accept` says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Form {
    format: Option<String>,
}

/// A statement as it is written in JSON.
#[derive(Debug, Serialize)]
struct Written<'a> {
    /// Whose it is: `plg_…` or `acc_…`.
    of: &'a str,
    #[serde(flatten)]
    statement: &'a store::Statement,
}

/// `GET /api/plugin/statements/{pluginId}/{month}`
pub(super) async fn of_owner(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    path: Result<Path<(String, String)>, PathRejection>,
    form: Result<Query<Form>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((plugin, month)) = path?;
    let plugin = plugins::owner(&house, &plugin, &headers, peer).await?;
    let month = self::month(&house, &month)?;
    let statement = house.desk.store().owner_statement(plugin, month).await;
    let statement = statement.map_err(Problem::unread)?;
    let plugin = plugin.to_string();
    respond(&statement, &plugin, &plugin, form?.0, &headers)
}

/// `GET /api/ads/statements/{month}`
pub(super) async fn of_advertiser(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    month: Named,
    form: Result<Query<Form>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    let Path(month) = month?;
    let month = self::month(&house, &month)?;
    let statement = house.desk.store().advertiser_statement(account, month).await;
    let statement = statement.map_err(Problem::unread)?;
    respond(&statement, &account.to_string(), &format!("ads-{account}"), form?.0, &headers)
}

/// Reads a month that has begun.
pub(super) fn month(house: &House, text: &str) -> Result<Month, Problem> {
    let month: Month = text.parse().map_err(|_| Problem::bad_request("a month is written as 2026-03"))?;
    if month.first() > Day(house.desk.now().day()) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "this month has not begun"));
    }
    Ok(month)
}

/// Answers in the form that is wanted; `file` is what a CSV is called.
pub(super) fn respond(
    statement: &store::Statement,
    of: &str,
    file: &str,
    form: Form,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let as_csv = match form.format.as_deref() {
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(Problem::field("format", "format is json or csv")),
        None => accept.starts_with("text/csv"),
    };
    if !as_csv {
        return Ok(Json(Written { of, statement }).into_response());
    }
    let name = format!("attachment; filename=\"rekursing-{file}-{}.csv\"", statement.month);
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, csv(statement)).into_response())
}

/// Writes a statement as rows: for each account the opening balance, a line per kind of entry, and the
/// closing balance.
fn csv(statement: &store::Statement) -> String {
    let mut csv = Csv::new(&["month", "account", "kind", "postings", "in", "out", "balance"]);
    let month = statement.month.to_string();
    for sheet in &statement.accounts {
        let balance = |kind: &str, amount: rekursing_protocol::Nanos| {
            let (kind, amount) = (kind.to_owned(), amount.to_string());
            [
                month.clone(),
                sheet.account.to_owned(),
                kind,
                String::new(),
                String::new(),
                String::new(),
                amount,
            ]
        };
        csv.row(&balance("opening", sheet.opening));
        for line in &sheet.lines {
            csv.row(&[
                month.clone(),
                sheet.account.to_owned(),
                line.kind.clone(),
                line.postings.to_string(),
                line.credit.to_string(),
                line.debit.to_string(),
                String::new(),
            ]);
        }
        csv.row(&balance("closing", sheet.closing));
    }
    csv.into_text()
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Nanos;

    use super::*;
    use crate::store::{Line, Sheet, Statement};

    #[test]
    fn a_statement_is_rows_between_two_balances() {
        let line = Line {
            kind: "settle".to_owned(),
            postings: 3,
            credit: Nanos::new(1_500_000_000),
            debit: Nanos::ZERO,
        };
        let sheet = Sheet {
            account: "available",
            opening: Nanos::DOLLAR,
            lines: vec![line],
            closing: Nanos::new(2_500_000_000),
        };
        let statement = Statement { month: "2026-03".parse().unwrap(), accounts: vec![sheet] };
        assert_eq!(
            csv(&statement),
            "month,account,kind,postings,in,out,balance\r\n\
             2026-03,available,opening,,,,1\r\n\
             2026-03,available,settle,3,1.5,0,\r\n\
             2026-03,available,closing,,,,2.5\r\n"
        );
    }
}
