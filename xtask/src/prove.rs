//! `cargo xtask prove`: the tests of what must hold however often it is tried, with counts for which
//! `cargo xtask test` has no time. Whoever has such a test adds a line to [`PROOFS`].

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{clock, extension, outfit, say, test};

/// A test that is run longer than usual.
struct Proof {
    /// The name by which it is chosen.
    name: &'static str,
    /// What is tried, many times.
    what: &'static str,
    /// How often.
    count: u64,
    /// The variable that tells the test so.
    variable: &'static str,
    /// Where the test is: [`LIB`], or the name of a whole-product test.
    target: &'static str,
    /// The test, or what the names of several begin with.
    test: &'static str,
}

/// The tests inside of the crates.
const LIB: &str = "";

const KILLS: &str = "REKURSING_KILLS";
const PLANS: &str = "REKURSING_PLANS";
const LEDGERS: &str = "REKURSING_LEDGERS";
const RACES: &str = "REKURSING_RACES";
const AWAY: &str = "REKURSING_AWAY";

/// The tests of an owner who stays connected.
const STAYING: &str = "staying";

/// All of them, in the order in which they run.
const PROOFS: &[Proof] = &[
    Proof {
        name: "kills-sqlite",
        what: "kill -9 of the relay under load, on SQLite",
        count: 200,
        variable: KILLS,
        target: "crashes",
        test: "sqlite::a_relay_that_is_killed_again_and_again",
    },
    Proof {
        name: "kills-postgres",
        what: "kill -9 of the relay under load, on PostgreSQL",
        count: 200,
        variable: KILLS,
        target: "crashes",
        test: "postgres::a_relay_that_is_killed_again_and_again",
    },
    Proof {
        name: "races-sqlite",
        what: "races for one balance, one key's and one campaign's budget, on SQLite",
        count: 25,
        variable: RACES,
        target: "races",
        test: "sqlite::",
    },
    Proof {
        name: "races-postgres",
        what: "the same races, on PostgreSQL",
        count: 25,
        variable: RACES,
        target: "races",
        test: "postgres::",
    },
    Proof {
        name: "cuts",
        what: "cuts of a page's connection at random bytes, after each of which it goes on, in Node and in Chromium",
        count: 1_000,
        variable: "REKURSING_CUTS",
        target: "client",
        test: "a_page_that_is_cut_at_random_bytes",
    },
    Proof {
        name: "book",
        what: "random operations on a book against the reference model",
        count: 20_000_000,
        variable: "REKURSING_OPERATIONS",
        target: LIB,
        test: "a_million_random_operations",
    },
    Proof {
        name: "market",
        what: "plans of up to 150 steps for the whole market",
        count: 20_000,
        variable: PLANS,
        target: LIB,
        test: "whatever_happens_no_money_and_no_job_is_lost",
    },
    Proof {
        name: "free",
        what: "plans of up to 150 steps for free answers and the platform's cash",
        count: 20_000,
        variable: PLANS,
        target: LIB,
        test: "the_platforms_cash_is_never_below_zero",
    },
    Proof {
        name: "ads",
        what: "plans of up to 80 steps for campaigns and their budgets",
        count: 20_000,
        variable: PLANS,
        target: LIB,
        test: "any_plan_spends_what_the_model_spends",
    },
    Proof {
        name: "budgets",
        what: "plans of 64 racing jobs with one key's budget",
        count: 20_000,
        variable: PLANS,
        target: LIB,
        test: "sixty_four_racing_jobs_never_exceed_a_budget",
    },
    Proof {
        name: "sums-sqlite",
        what: "random ledgers against their statements, earnings and revenue, on SQLite",
        count: 1_000,
        variable: LEDGERS,
        target: LIB,
        test: "sqlite::statements_earnings_and_revenue",
    },
    Proof {
        name: "sums-postgres",
        what: "the same on PostgreSQL",
        count: 250,
        variable: LEDGERS,
        target: LIB,
        test: "postgres::statements_earnings_and_revenue",
    },
    Proof {
        name: "stops",
        what: "the extension's worker stopped in the middle of an answer",
        count: 100,
        variable: "REKURSING_STOPS",
        target: STAYING,
        test: "a_worker_that_is_stopped",
    },
    Proof {
        name: "crashes",
        what: "the browser killed in the middle of an answer",
        count: 20,
        variable: "REKURSING_CRASHES",
        target: STAYING,
        test: "a_browser_that_is_killed",
    },
    Proof {
        name: "restarts",
        what: "the relay restarted in the middle of an answer, by SIGTERM and by kill -9",
        count: 20,
        variable: "REKURSING_RESTARTS",
        target: STAYING,
        test: "a_relay_that_is_restarted",
    },
    Proof {
        name: "cut-5",
        what: "seconds without a network in the middle of an answer, known and unknown to the computer",
        count: 5,
        variable: AWAY,
        target: STAYING,
        test: "a_network_that_is_cut",
    },
    Proof {
        name: "cut-30",
        what: "seconds without a network in the middle of an answer, known and unknown to the computer",
        count: 30,
        variable: AWAY,
        target: STAYING,
        test: "a_network_that_is_cut",
    },
    Proof {
        name: "cut-120",
        what: "seconds without a network in the middle of an answer, known and unknown to the computer",
        count: 120,
        variable: AWAY,
        target: STAYING,
        test: "a_network_that_is_cut",
    },
    Proof {
        name: "sleep",
        what: "seconds asleep in the middle of an answer",
        count: 120,
        variable: "REKURSING_SLEEP",
        target: STAYING,
        test: "a_computer_that_sleeps",
    },
];

/// Runs the proofs of these names, or all of them, and stops at the first that fails.
pub(crate) fn prove(names: &[String]) -> Result<()> {
    let chosen = chosen(names)?;
    outfit::chromium()?;
    outfit::network()?;
    outfit::postgres()?;
    outfit::anvil()?;
    extension::build()?;
    test::build()?;
    let mut times = Vec::new();
    for proof in chosen {
        say(&format!("{}: {} × {}", proof.name, proof.count, proof.what));
        let begun = clock::now();
        proof.run().with_context(|| format!("failed: {}", proof.name))?;
        times.push((proof, begun.elapsed()));
    }
    eprintln!("\n{}", report(&times));
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Proof>> {
    for name in names {
        if !PROOFS.iter().any(|proof| proof.name == name) {
            let known: Vec<&str> = PROOFS.iter().map(|proof| proof.name).collect();
            bail!("there is no proof {name}; there are {}", known.join(", "));
        }
    }
    Ok(PROOFS
        .iter()
        .filter(|proof| names.is_empty() || names.iter().any(|name| name == proof.name))
        .collect())
}

impl Proof {
    fn run(&self) -> Result<()> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(extension::root()).arg("test").args(test::WORKSPACE);
        match self.target {
            LIB => command.arg("--lib"),
            target => command.args(["--test", target]),
        };
        command.args(["--", self.test, "--nocapture"]).env(test::BUILT, "1");
        command.env(self.variable, self.count.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().context("could not run cargo")?;
        let lines = BufReader::new(child.stdout.take().context("a child without standard output")?).lines();
        let mut passed = 0;
        for line in lines.map_while(Result::ok) {
            passed += self::passed(&line);
            eprintln!("{line}");
        }
        if !child.wait()?.success() {
            bail!("{}={} cargo test {} {}", self.variable, self.count, self.target, self.test);
        }
        // One that was renamed proves nothing.
        if passed == 0 {
            bail!("there is no test {}", self.test);
        }
        Ok(())
    }
}

/// Returns how many tests have passed, where a line tells.
fn passed(line: &str) -> u64 {
    let count = line.strip_prefix("test result: ok. ").and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn report(times: &[(&Proof, Duration)]) -> String {
    let rows = times.iter().map(|(proof, time)| {
        format!("| `{}` | {} | {} | {:.0} s |\n", proof.name, proof.what, proof.count, time.as_secs_f64())
    });
    format!("| proof | what | how many | time |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_row_for_each_and_no_name_is_there_twice() {
        let times: Vec<_> = PROOFS.iter().map(|proof| (proof, Duration::from_secs(2))).collect();
        assert_eq!(report(&times).lines().count(), 2 + PROOFS.len());
        assert!(report(&times[..1]).ends_with("on SQLite | 200 | 2 s |\n"));
        for (at, proof) in PROOFS.iter().enumerate() {
            assert!(PROOFS[at + 1..].iter().all(|other| other.name != proof.name), "{}", proof.name);
        }
    }

    #[test]
    fn only_known_proofs_can_be_chosen() {
        assert_eq!(chosen(&[]).unwrap().len(), PROOFS.len());
        assert_eq!(chosen(&["book".to_owned()]).unwrap()[0].name, "book");
        assert!(chosen(&["books".to_owned()]).is_err());
    }

    #[test]
    fn a_test_that_is_not_there_does_not_pass() {
        assert_eq!(passed("test result: ok. 2 passed; 0 failed; 0 ignored"), 2);
        assert_eq!(passed("test result: ok. 0 passed; 0 failed; 0 ignored"), 0);
        assert_eq!(passed("running 1 test"), 0);
    }
}
