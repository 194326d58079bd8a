//! Projects' objectives, as rows. They are their account's own words and are printed nowhere.

use std::fmt;

use anyhow::Result;
use rekursing_protocol::{AccountId, Moment};

use super::{Row, Sql, Store};

/// What a project is to reach.
#[derive(Clone, PartialEq, Eq)]
pub struct Objectives {
    /// The project's name, the account's own.
    pub project: String,
    /// Its objectives, in the account's order.
    pub objectives: Vec<String>,
    /// When they were put.
    pub at: Moment,
}

impl fmt::Debug for Objectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objectives").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Store {
    /// Stores a project's objectives in the place of those that it had. `false` when the account has as many
    /// other projects as it may have.
    ///
    /// # Errors
    /// When it could not be made durable; so with every change here.
    pub async fn put_objectives(&self, account: AccountId, put: Objectives, most: u64) -> Result<bool> {
        self.make(move |sql| self::put(sql, account, &put, most)).await
    }

    /// Reads a project's objectives.
    pub async fn objectives(&self, account: AccountId, project: String) -> Result<Option<Objectives>> {
        self.read(move |sql| {
            let one = "SELECT project, objectives, at FROM objectives WHERE account = ?1 AND project = ?2";
            sql.first(one, &[account.to_string().into(), project.into()], read)
        })
        .await
    }

    /// Reads the objectives of all projects of an account, by name.
    pub async fn projects(&self, account: AccountId) -> Result<Vec<Objectives>> {
        self.read(move |sql| {
            let all = "SELECT project, objectives, at FROM objectives WHERE account = ?1 ORDER BY project";
            sql.list(all, &[account.to_string().into()], read)
        })
        .await
    }

    /// Forgets a project. `false` when there is none of this name.
    pub async fn remove_objectives(&self, account: AccountId, project: String) -> Result<bool> {
        self.make(move |sql| {
            let remove = "DELETE FROM objectives WHERE account = ?1 AND project = ?2";
            Ok(sql.execute(remove, &[account.to_string().into(), project.into()])? > 0)
        })
        .await
    }
}

fn put(sql: &mut Sql, account: AccountId, put: &Objectives, most: u64) -> Result<bool> {
    let others = sql.number(
        "SELECT COUNT(*) FROM objectives WHERE account = ?1 AND project <> ?2",
        &[account.to_string().into(), put.project.as_str().into()],
    )?;
    if others.unsigned_abs() >= most {
        return Ok(false);
    }
    sql.execute(
        "INSERT INTO objectives (account, project, objectives, at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account, project) DO UPDATE SET objectives = excluded.objectives, at = excluded.at",
        &[
            account.to_string().into(),
            put.project.as_str().into(),
            serde_json::to_string(&put.objectives)?.into(),
            put.at.into(),
        ],
    )?;
    Ok(true)
}

fn read(row: &Row) -> Result<Objectives> {
    Ok(Objectives {
        project: row.text(0)?.to_owned(),
        objectives: serde_json::from_str(row.text(1)?)?,
        at: row.moment(2)?,
    })
}
