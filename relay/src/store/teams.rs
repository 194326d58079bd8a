//! Teams: accounts whose computers are counted together among the leaders.

use anyhow::Result;
use rekursing_protocol::{AccountId, Day, Moment, TeamId};

use super::{Row, Sql, Standard, Store};

/// A team as its members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Which.
    pub id: TeamId,
    /// What everybody sees.
    pub name: String,
    /// How many accounts are in it.
    pub members: u64,
    /// How often its code was changed.
    pub turn: u64,
    /// Who is in it for longest: whoever has founded it, as long as he stays.
    pub founder: AccountId,
}

/// A team among the leaders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadingTeam {
    /// Which.
    pub id: TeamId,
    /// What everybody sees.
    pub name: String,
    /// What it is compared by.
    pub value: u64,
    /// Of how many answers that is known.
    pub jobs: u64,
    /// Of how many computers.
    pub plugins: u64,
}

/// What came of founding or joining a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The account is in it.
    Yes,
    /// The account is in a team.
    InOne,
    /// Another team has the name.
    NameTaken,
    /// There are as many teams, or members, as there may be.
    Full,
    /// No team has the code.
    WrongCode,
}

impl Store {
    /// Reads the team that an account is in.
    pub async fn team_of(&self, account: AccountId) -> Result<Option<Team>> {
        self.read(move |sql| {
            sql.first(OF_ACCOUNT, &[account.to_string().into()], |row| {
                let (id, name, members) = (row.parsed(0)?, row.text(1)?.to_owned(), row.count(2)?);
                Ok(Team { id, name, members, turn: row.count(3)?, founder: row.parsed(4)? })
            })
        })
        .await
    }

    /// Reads the accounts of a team, and since when each is in it, longest first.
    pub async fn team_members(&self, id: TeamId) -> Result<Vec<(AccountId, Moment)>> {
        let members = "SELECT account, since FROM team_member WHERE team = ?1 ORDER BY since, account";
        self.read(move |sql| {
            sql.list(members, &[id.to_string().into()], |row| Ok((row.parsed(0)?, row.moment(1)?)))
        })
        .await
    }

    /// Tells whether a plugin of an account's own has earned something on a day after the one on which they were
    /// paired: it cannot do that for another account on each day.
    pub async fn has_earned(&self, account: AccountId) -> Result<bool> {
        self.read(move |sql| Ok(sql.number(HAS_EARNED, &[account.to_string().into()])? > 0)).await
    }

    /// Gives a team another code, by its SHA-256; the one before lets nobody in any more.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn turn_team(&self, id: TeamId, turn: u64, code: [u8; 32]) -> Result<()> {
        self.make(move |sql| give_code(sql, id, turn, code)).await
    }

    /// Puts an account out of a team, which gets another code at once. `false` where it is not in it.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_out_of_team(
        &self,
        id: TeamId,
        member: AccountId,
        turn: u64,
        code: [u8; 32],
    ) -> Result<bool> {
        self.make(move |sql| {
            let values = [member.to_string().into(), id.to_string().into()];
            let is_in = "SELECT COUNT(*) FROM team_member WHERE account = ?1 AND team = ?2";
            if sql.number(is_in, &values)? == 0 {
                return Ok(false);
            }
            sql.execute("DELETE FROM team_member WHERE account = ?1 AND team = ?2", &values)?;
            give_code(sql, id, turn, code)?;
            Ok(true)
        })
        .await
    }

    /// Founds a team with one member, unless there are `most`.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn found_team(
        &self,
        now: Moment,
        id: TeamId,
        name: String,
        code: [u8; 32],
        account: AccountId,
        most: u64,
    ) -> Result<Joined> {
        self.make(move |sql| {
            if is_member(sql, account)? {
                return Ok(Joined::InOne);
            }
            if sql.number("SELECT COUNT(*) FROM team WHERE name = ?1", &[name.as_str().into()])? > 0 {
                return Ok(Joined::NameTaken);
            }
            if count(sql.number("SELECT COUNT(*) FROM team", &[])?) >= most {
                return Ok(Joined::Full);
            }
            sql.execute(
                "INSERT INTO team (id, name, code, founded) VALUES (?1, ?2, ?3, ?4)",
                &[id.to_string().into(), name.into(), code.as_slice().into(), now.into()],
            )?;
            enter(sql, now, &id.to_string(), account)?;
            Ok(Joined::Yes)
        })
        .await
    }

    /// Has an account join the team of a code, by its SHA-256, unless that has `most` members.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn join_team(
        &self,
        now: Moment,
        code: [u8; 32],
        account: AccountId,
        most: u64,
    ) -> Result<Joined> {
        self.make(move |sql| {
            if is_member(sql, account)? {
                return Ok(Joined::InOne);
            }
            let id = "SELECT id FROM team WHERE code = ?1";
            let Some(id) = sql.first(id, &[code.as_slice().into()], |row| Ok(row.text(0)?.to_owned()))?
            else {
                return Ok(Joined::WrongCode);
            };
            let members = "SELECT COUNT(*) FROM team_member WHERE team = ?1";
            if count(sql.number(members, &[id.as_str().into()])?) >= most {
                return Ok(Joined::Full);
            }
            enter(sql, now, &id, account)?;
            Ok(Joined::Yes)
        })
        .await
    }

    /// Has an account leave its team, which ends with its last member.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn leave_team(&self, account: AccountId) -> Result<()> {
        self.make(move |sql| {
            sql.execute("DELETE FROM team_member WHERE account = ?1", &[account.to_string().into()])?;
            let empty = "DELETE FROM team WHERE NOT EXISTS (SELECT 1 FROM team_member WHERE team_member.team = team.id)";
            sql.execute(empty, &[]).map(drop)
        })
        .await
    }

    /// Reads which teams lead from a UTC day on, by the computers of their members that have a channel.
    pub async fn leading_teams(
        &self,
        standard: Standard,
        from: Day,
        jobs_min: u64,
        most: u64,
    ) -> Result<Vec<LeadingTeam>> {
        self.read(move |sql| {
            let read = |row: &Row| {
                Ok(LeadingTeam {
                    id: row.parsed(0)?,
                    name: row.text(1)?.to_owned(),
                    value: row.count(2)?,
                    jobs: row.count(3)?,
                    plugins: row.count(4)?,
                })
            };
            let (from, most) = (from.0.into(), most.into());
            match standard {
                Standard::Tokens => sql.list(BY_TOKENS, &[from, most], read),
                Standard::Earnings => sql.list(BY_EARNINGS, &[from, most], read),
                Standard::Reliability => sql.list(BY_RELIABILITY, &[from, most, jobs_min.into()], read),
            }
        })
        .await
    }
}

fn give_code(sql: &mut Sql, id: TeamId, turn: u64, code: [u8; 32]) -> Result<()> {
    let update = "UPDATE team SET turn = ?1, code = ?2 WHERE id = ?3";
    sql.execute(update, &[turn.into(), code.as_slice().into(), id.to_string().into()]).map(drop)
}

fn count(number: i64) -> u64 {
    number.unsigned_abs()
}

fn is_member(sql: &mut Sql, account: AccountId) -> Result<bool> {
    let known = "SELECT COUNT(*) FROM team_member WHERE account = ?1";
    Ok(sql.number(known, &[account.to_string().into()])? > 0)
}

fn enter(sql: &mut Sql, now: Moment, team: &str, account: AccountId) -> Result<()> {
    sql.execute(
        "INSERT INTO team_member (account, team, since) VALUES (?1, ?2, ?3)",
        &[account.to_string().into(), team.into(), now.into()],
    )
    .map(drop)
}

const OF_ACCOUNT: &str = "
    SELECT id, name, (SELECT COUNT(*) FROM team_member WHERE team_member.team = team.id), turn,
        (SELECT first.account FROM team_member AS first WHERE first.team = team.id
            ORDER BY first.since, first.account LIMIT 1)
    FROM team JOIN team_member AS own ON own.team = team.id WHERE own.account = ?1";

const HAS_EARNED: &str = "
    SELECT COUNT(*) FROM (SELECT 1 FROM earned JOIN plugin ON plugin.id = earned.owner
        WHERE plugin.account = ?1 AND earned.charge > earned.fee AND earned.day > plugin.paired / 86400000
        LIMIT 1) AS found";

const BY_TOKENS: &str = "
    SELECT team.id, team.name, CAST(SUM(answer_tokens) AS BIGINT) AS value, CAST(SUM(jobs) AS BIGINT),
        COUNT(DISTINCT owner)
    FROM earned JOIN channel ON channel.plugin = earned.owner JOIN plugin ON plugin.id = earned.owner
        JOIN team_member ON team_member.account = plugin.account JOIN team ON team.id = team_member.team
    WHERE day >= ?1 GROUP BY team.id, team.name ORDER BY value DESC, team.id LIMIT ?2";

const BY_EARNINGS: &str = "
    SELECT team.id, team.name, CAST(SUM(charge - fee) AS BIGINT) AS value, CAST(SUM(jobs) AS BIGINT),
        COUNT(DISTINCT owner)
    FROM net_earned JOIN channel ON channel.plugin = net_earned.owner AND channel.earnings = 1
        JOIN plugin ON plugin.id = net_earned.owner
        JOIN team_member ON team_member.account = plugin.account JOIN team ON team.id = team_member.team
    WHERE day >= ?1 GROUP BY team.id, team.name HAVING SUM(charge - fee) > 0
    ORDER BY value DESC, team.id LIMIT ?2";

const BY_RELIABILITY: &str = "
    SELECT team.id, team.name, CAST(SUM(done) AS BIGINT) * 1000 / CAST(SUM(done + failed) AS BIGINT) AS value,
        CAST(SUM(done + failed) AS BIGINT) AS jobs, COUNT(DISTINCT outcome.plugin)
    FROM outcome JOIN channel ON channel.plugin = outcome.plugin JOIN plugin ON plugin.id = outcome.plugin
        JOIN team_member ON team_member.account = plugin.account JOIN team ON team.id = team_member.team
    WHERE day >= ?1 GROUP BY team.id, team.name HAVING CAST(SUM(done + failed) AS BIGINT) >= ?3
    ORDER BY value DESC, jobs DESC, team.id LIMIT ?2";
