//! Keys as the operator reads them: a table for the eye, or JSON for a program. Amounts are exact.

use rekursing_protocol::{AccountId, KeyId, Moment, Nanos, name};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    limits,
    store::{Key, Purse},
};

/// A key in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    prefix: KeyId,
    name: &'a str,
    account: AccountId,
    made_with: Option<KeyId>,
    created_at: Moment,
    revoked: bool,
    #[serde(flatten)]
    limits: Map<String, Value>,
    balance: Nanos,
    held: Nanos,
    spent: Nanos,
}

/// Longest name of a key, in characters.
pub const NAME_CHARS_MAX: usize = 60;

/// What is told of a name that is none.
pub const BAD_NAME: &str = "a key's name has at most 60 characters, all of them visible";

/// Tells whether a key may be called so.
pub fn is_name(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS_MAX && name::is_plain(name)
}

/// Returns the keys as one line of JSON.
///
/// # Panics
/// Never: the rows are plain data.
pub fn json(purses: &[Purse]) -> String {
    let rows = purses.iter().map(|Purse { key, balance, held, spent }| Row {
        prefix: key.id,
        name: &key.name,
        account: key.account,
        made_with: key.maker,
        created_at: key.created,
        revoked: key.revoked,
        limits: limits::fields(&key.limits),
        balance: *balance,
        held: *held,
        spent: *spent,
    });
    serde_json::to_string(&rows.collect::<Vec<_>>()).expect("the rows are plain data")
}

/// Returns the keys as lines with a heading; amounts are dollars, one point below the other.
pub fn table(now: Moment, purses: &[Purse]) -> String {
    let amounts = |heading, amount: fn(&Purse) -> Nanos| {
        aligned(heading, purses.iter().map(|purse| amount(purse).to_string()))
    };
    let texts = |heading: &str, text: &dyn Fn(&Purse) -> String| {
        padded(std::iter::once(heading.to_owned()).chain(purses.iter().map(text)).collect())
    };
    let columns = [
        texts("key", &|purse| format!("{}…", purse.key.id)),
        texts("state", &|purse| state(now, &purse.key).to_owned()),
        amounts("balance", |purse| purse.balance),
        amounts("held", |purse| purse.held),
        amounts("spent", |purse| purse.spent),
        texts("account", &|purse| purse.key.account.to_string()),
        texts("name", &|purse| name::plain(&purse.key.name, NAME_CHARS_MAX)),
        texts("limits", &|purse| limits::line(&purse.key.limits)),
    ];
    let line = |at: usize| columns.each_ref().map(|column| column[at].as_str()).join("  ");
    (0..=purses.len()).map(|at| line(at).trim_end().to_owned() + "\n").collect()
}

/// Returns whether a key opens anything.
fn state(now: Moment, key: &Key) -> &'static str {
    match key.limits.expires {
        _ if key.revoked => "revoked",
        Some(expires) if expires <= now => "expired",
        Some(_) | None => "open",
    }
}

/// Puts decimal numbers under their heading so that their points stand below each other.
fn aligned(heading: &str, numbers: impl Iterator<Item = String>) -> Vec<String> {
    let parts: Vec<(String, String)> = numbers
        .map(|number| match number.split_once('.') {
            Some((whole, decimals)) => (whole.to_owned(), format!(".{decimals}")),
            None => (number, String::new()),
        })
        .collect();
    let width = |part: fn(&(String, String)) -> usize| parts.iter().map(part).max().unwrap_or_default();
    let (before, behind) = (width(|(whole, _)| whole.len()), width(|(_, decimals)| decimals.len()));
    let numbers = parts.iter().map(|(whole, decimals)| format!("{whole:>before$}{decimals:<behind$}"));
    let width = heading.len();
    padded(
        std::iter::once(heading.to_owned())
            .chain(numbers.map(|number| format!("{number:>width$}")))
            .collect(),
    )
}

/// Makes all lines of a column as wide as the widest.
fn padded(lines: Vec<String>) -> Vec<String> {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    lines.into_iter().map(|line| format!("{line:<width$}")).collect()
}

#[cfg(test)]
mod tests {
    use rekursing_market::Limits;

    use super::*;

    fn purse(number: u32, name: &str, revoked: bool, amounts: [&str; 3]) -> Purse {
        let key = Key {
            hash: [0; 32],
            id: KeyId::from_bits(number),
            name: name.to_owned(),
            account: AccountId::from_bits(number.into()),
            maker: None,
            limits: Limits::default(),
            created: Moment(7),
            revoked,
        };
        let [balance, held, spent] = amounts.map(|amount| amount.parse().unwrap());
        Purse { key, balance, held, spent }
    }

    fn purses() -> [Purse; 3] {
        let mut purses = [
            purse(1, "Ada", false, ["4.9996574", "0.00045", "0.0003426"]),
            purse(2, "Grace \u{202e}H\x1b[2J", true, ["0", "0", "0"]),
            purse(3, "", false, ["1000000", "12.5", "0.000000001"]),
        ];
        let limits = &mut purses[2].key.limits;
        (limits.budget_day, limits.expires) = (Some(Nanos::DOLLAR), Some(Moment(8)));
        purses
    }

    #[test]
    fn amounts_stand_point_below_point() {
        assert_eq!(
            table(Moment(8), &purses()),
            "\
key           state    balance          held      spent        account                         name        limits
rk_00000001…  open           4.9996574   0.00045  0.0003426    acc_00000000000000000000000001  Ada
rk_00000002…  revoked        0           0        0            acc_00000000000000000000000002  Grace H[2J
rk_00000003…  expired  1000000          12.5      0.000000001  acc_00000000000000000000000003              1 a day; until 1970-01-01
"
        );
        assert_eq!(table(Moment(0), &[]), "key  state  balance  held  spent  account  name  limits\n");
    }

    #[test]
    fn in_json_amounts_are_exact_texts() {
        let json: Value = serde_json::from_str(&json(&purses())).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({
                "prefix": "rk_00000001", "name": "Ada", "account": "acc_00000000000000000000000001",
                "madeWith": null, "createdAt": 7, "revoked": false, "budgetPerDay": null, "budgetTotal": null,
                "models": null, "maxPrice": null, "expiresAt": null, "objectives": null,
                "balance": "4.9996574", "held": "0.00045", "spent": "0.0003426"
            })
        );
        assert_eq!(json[2]["budgetPerDay"], "1");
        assert_eq!(json.as_array().map(Vec::len), Some(3));
    }
}
