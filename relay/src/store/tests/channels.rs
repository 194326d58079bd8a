//! Channels, and what is seen from minute to minute.

use rekursing_market::Outcome;
use rekursing_protocol::{AccountId, Day, Gpu, JobId, Moment, PluginId};

use super::{now, start};
use crate::{
    place::{Place, on_both},
    store::{Channel, Leader, Pairing, Plugin, ServedInAll, Standard, Store, Watched},
};

on_both! {
    channels_come_back_with_what_they_show_and_are_followed_once_by_each,
    a_model_is_up_for_the_minutes_in_which_it_was_seen_since_it_was_seen_first,
    whoever_has_a_channel_and_enough_answers_leads_by_reliability,
    an_account_has_earned_by_what_its_computer_made_on_a_day_behind_the_pairings,
}

const ADA: PluginId = PluginId::from_bits(1);
const BOB: PluginId = PluginId::from_bits(2);
const HOUR: u64 = 3_600_000;

fn channel(plugin: PluginId, about: &str) -> Channel {
    Channel { plugin, about: about.to_owned(), shows_earnings: false, opened: Moment(5) }
}

fn channels_come_back_with_what_they_show_and_are_followed_once_by_each(place: &Place) {
    let store = start(place);
    now(store.put_channel(channel(ADA, "one"))).unwrap();
    let later = Channel { opened: Moment(9), shows_earnings: true, ..channel(ADA, "two") };
    now(store.put_channel(later)).unwrap();
    let (who, other) = (AccountId::from_bits(1), AccountId::from_bits(2));
    for account in [who, who, other] {
        now(store.follow(Moment(6), ADA, account, 1)).unwrap();
    }
    now(store.follow(Moment(7), BOB, who, 1)).unwrap();
    assert_eq!(now(store.followers(ADA)).unwrap(), 2);
    assert_eq!(now(store.followed(who)).unwrap(), [ADA], "one is as many as it may follow");
    now(store.unfollow(ADA, other)).unwrap();
    assert_eq!(now(store.followers(ADA)).unwrap(), 1);
    let known = Store::open(&place.location).unwrap().channels().unwrap();
    assert_eq!(known, [Channel { shows_earnings: true, ..channel(ADA, "two") }]);
    now(store.close_channel(ADA)).unwrap();
    assert_eq!(now(store.followers(ADA)).unwrap(), 0);
    assert!(Store::open(&place.location).unwrap().channels().unwrap().is_empty());
    store.stop();
}

fn a_model_is_up_for_the_minutes_in_which_it_was_seen_since_it_was_seen_first(place: &Place) {
    let store = start(place);
    let minute = |at: u64, models: &[&str]| {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        now(store.watched(Moment(at), Watched { models, ..Watched::default() })).unwrap();
    };
    let begin = 1_000 * HOUR;
    for at in 0..60 {
        let at = begin + HOUR + at * 60_000;
        // One is there for the half of the hour, the other comes in its last quarter.
        let models: &[&str] = match at / 60_000 % 60 {
            0..30 => &["half"],
            30..45 => &[],
            _ => &["late"],
        };
        minute(at, models);
    }
    let mut uptimes = now(store.uptimes(Moment(begin + 2 * HOUR))).unwrap();
    uptimes.sort_by(|one, other| one.model.cmp(&other.model));
    let found: Vec<_> = uptimes.iter().map(|one| (one.model.as_str(), one.day_permille)).collect();
    assert_eq!(found, [("half", 1_000), ("late", 1_000)], "nobody is blamed for the time before he came");
    let uptimes = now(store.uptimes(Moment(begin + 3 * HOUR))).unwrap();
    let half = uptimes.iter().find(|one| one.model == "half").unwrap();
    assert_eq!((half.day_permille, half.month_permille), (333, 333));
    minute(begin + 2_000 * HOUR, &[]);
    assert!(now(store.uptimes(Moment(begin + 2_000 * HOUR))).unwrap().is_empty());
    store.stop();
}

fn whoever_has_a_channel_and_enough_answers_leads_by_reliability(place: &Place) {
    let store = start(place);
    now(store.put_channel(channel(ADA, ""))).unwrap();
    let day = 20_000;
    let outcomes =
        |done, failed| vec![(ADA, Outcome { done, failed }), (BOB, Outcome { done: 50, failed: 0 })];
    let noon = Moment(day * 24 * HOUR + 12 * HOUR);
    let seen =
        |present: &[PluginId], outcomes| Watched { present: present.to_vec(), models: vec![], outcomes };
    now(store.watched(noon, seen(&[ADA], outcomes(15, 1)))).unwrap();
    let leaders = |from, least| now(store.leaders(Standard::Reliability, Day(from), least, 10)).unwrap();
    assert_eq!(leaders(day, 20), []);
    now(store.watched(noon, seen(&[ADA], outcomes(3, 1)))).unwrap();
    assert_eq!(leaders(day, 20), [Leader { plugin: ADA, value: 900, jobs: 20 }]);
    assert_eq!(leaders(day + 1, 20), []);
    assert_eq!(now(store.outcome(ADA, Day(day))).unwrap(), Outcome { done: 18, failed: 2 });
    let days = now(store.channel_days(Day(day), ADA)).unwrap();
    assert_eq!(days.iter().map(|one| (one.day, one.minutes)).collect::<Vec<_>>(), [(Day(day), 2)]);
    assert_eq!(now(store.served_in_all()).unwrap(), Vec::<(PluginId, ServedInAll)>::new());
    assert_eq!(now(store.leaders(Standard::Tokens, Day(0), 1, 10)).unwrap(), []);
    assert_eq!(now(store.leaders(Standard::Earnings, Day(0), 1, 10)).unwrap(), []);
    store.stop();
}

fn an_account_has_earned_by_what_its_computer_made_on_a_day_behind_the_pairings(place: &Place) {
    let store = start(place);
    let account = AccountId::from_bits(1);
    let plugin = Plugin {
        id: super::OWNER,
        secret_hash: Some([1; 32]),
        key: None,
        pairing: None,
        revoked: None,
        name: String::new(),
        gpu: Gpu::default(),
    };
    now(store.put_plugin(Moment(1), plugin)).unwrap();
    // The job ends on day 3.
    let (job, day) = (JobId::from_bits(1), 24 * HOUR);
    store.append(vec![
        super::grant("grant:1", super::PAGE, 1_000_000),
        super::hold(job, 50_000),
        super::settle(job, 50_000),
    ]);
    now(store.flushed());
    assert!(!now(store.has_earned(account)).unwrap(), "it is nobody's");
    for (at, has_earned) in [(3 * day, false), (3 * day - 1, true), (4 * day, false)] {
        now(store.pair_plugin(super::OWNER, Pairing { account, at: Moment(at) })).unwrap();
        assert_eq!(now(store.has_earned(account)).unwrap(), has_earned, "{at}");
    }
    assert!(!now(store.has_earned(AccountId::from_bits(2))).unwrap());
    store.stop();
}
