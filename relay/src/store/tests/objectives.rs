//! Projects' objectives.

use rekursing_protocol::{AccountId, Moment};

use super::now;
use crate::{
    place::{Place, on_both},
    store::{Objectives, Store},
};

on_both! {
    objectives_are_an_accounts_own_and_are_replaced_listed_and_forgotten,
    an_account_has_no_more_projects_than_it_may_and_may_still_change_those,
}

const ONE: AccountId = AccountId::from_bits(1);
const OTHER: AccountId = AccountId::from_bits(2);

fn of(project: &str, objectives: &[&str]) -> Objectives {
    let objectives = objectives.iter().map(|text| (*text).to_owned()).collect();
    Objectives { project: project.to_owned(), objectives, at: Moment(7) }
}

fn objectives_are_an_accounts_own_and_are_replaced_listed_and_forgotten(place: &Place) {
    let store = Store::open(&place.location).unwrap().start(0, Box::new(|_| true)).unwrap();
    let (shop, garden) = (of("shop", &["sell more", "answer \"soon\""]), of("garden", &["grow"]));
    for put in [of("shop", &["old"]), shop.clone(), garden.clone()] {
        assert!(now(store.put_objectives(ONE, put, 9)).unwrap());
    }
    assert!(now(store.put_objectives(OTHER, of("shop", &["theirs"]), 9)).unwrap());
    assert_eq!(now(store.objectives(ONE, "shop".to_owned())).unwrap(), Some(shop.clone()));
    assert_eq!(now(store.projects(ONE)).unwrap(), [garden.clone(), shop]);
    assert!(now(store.remove_objectives(ONE, "shop".to_owned())).unwrap());
    assert!(!now(store.remove_objectives(ONE, "shop".to_owned())).unwrap());
    assert_eq!(now(store.projects(ONE)).unwrap(), [garden]);
    assert_eq!(now(store.projects(OTHER)).unwrap(), [of("shop", &["theirs"])]);
    store.stop();
    assert_eq!(format!("{:?}", of("secret", &["secret"])), "Objectives { at: Moment(7), .. }");
}

fn an_account_has_no_more_projects_than_it_may_and_may_still_change_those(place: &Place) {
    let store = Store::open(&place.location).unwrap().start(0, Box::new(|_| true)).unwrap();
    let put = |project: &str| now(store.put_objectives(ONE, of(project, &["x"]), 2)).unwrap();
    assert_eq!([put("a"), put("b"), put("c"), put("b")], [true, true, false, true]);
    store.stop();
}
