//! Connections to PostgreSQL that are lost, and what is not.

use std::{
    sync::atomic::{AtomicBool, AtomicU64},
    time::Duration,
};

use rekursing_tests_postgres::{Kind, Server, query};

use super::*;

/// Ends every connection of the store, whatever it is doing.
const TERMINATE: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rekursing-relay'";

/// How often the connections are ended.
const LOSSES: u64 = 20;

#[test]
fn connections_that_are_lost_in_the_middle_of_commits_lose_and_double_nothing() {
    let server = Server::start(Kind::Quick).unwrap();
    let place = Place::on(&server);
    let Location::Postgres(url) = &place.location else { panic!() };
    let store = start(&place);
    store.append(vec![grant("grant:1", PAGE, 1_000_000_000)]);
    let (losses, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let ran = Arc::new(AtomicU64::new(0));
    let mut jobs = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let ended = query(url, TERMINATE).unwrap().len() as u64;
                losses.fetch_add(ended.min(1), Ordering::Relaxed);
            }
        });
        while losses.load(Ordering::Relaxed) < LOSSES {
            jobs += 1;
            let job = JobId::from_bits(jobs.into());
            store.append(vec![hold(job, 50_000)]);
            store.append(vec![settle(job, 50_000)]);
            let ran = Arc::clone(&ran);
            store.then(move || {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            // A few at once, so that there are commits to interrupt and not one alone.
            while store.waiting() > 30 {
                std::thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    now(store.flushed());
    assert_eq!(ran.load(Ordering::Relaxed), jobs, "whoever waits for a commit hears of it once");
    let audit = now(store.audit()).unwrap();
    assert_eq!((audit.entries, audit.open_holds, audit.wrong), (1 + 2 * jobs, 0, None));
    let earned = now(store.earnings(Moment(Span::DAY.0 * 3), OWNER)).unwrap();
    assert_eq!(earned.jobs, jobs, "nothing is summed twice");
    store.stop();
}

#[test]
fn what_waits_while_the_server_is_down_is_stored_when_it_is_back() {
    let server = Server::start(Kind::Quick).unwrap();
    let place = Place::on(&server);
    let store = start(&place);
    store.append(vec![grant("grant:1", PAGE, 5)]);
    now(store.flushed());
    server.stop().unwrap();
    store.append(vec![grant("grant:2", PAGE, 6)]);
    let (told, hear) = channel::channel();
    store.then(move || told.send(()).unwrap());
    while store.is_healthy() {
        std::thread::yield_now();
    }
    assert!(hear.try_recv().is_err(), "nothing is durable yet");
    assert!(now(store.read(|sql| sql.number("SELECT COUNT(*) FROM entry", &[]))).is_err());
    server.resume().unwrap();
    hear.recv_timeout(Duration::from_secs(30)).unwrap();
    while !store.is_healthy() {
        std::thread::yield_now();
    }
    let count = now(store.read(|sql| sql.number("SELECT COUNT(*) FROM entry", &[]))).unwrap();
    assert_eq!(count, 2, "and readers find their way back by themselves");
    assert_eq!(now(store.audit()).unwrap().wrong, None);
    store.stop();
}

#[test]
fn commits_are_synced_whatever_the_server_is_set_to() {
    let server = Server::start(Kind::Quick).unwrap();
    let place = Place::on(&server);
    let Location::Postgres(url) = &place.location else { panic!() };
    let commits = |sql: &mut Sql| {
        sql.first("SELECT current_setting('synchronous_commit')", &[], |row| Ok(row.text(0)?.to_owned()))
    };
    for (setting, commit) in [("off", "on"), ("remote_apply", "remote_apply")] {
        let database = url.split_once("///").unwrap().1.split_once('?').unwrap().0;
        query(url, &format!("ALTER DATABASE {database} SET synchronous_commit = {setting}")).unwrap();
        let mut sql = Sql::connect(&place.location).unwrap();
        assert_eq!(commits(&mut sql).unwrap().unwrap(), commit);
    }
}
