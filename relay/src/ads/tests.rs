use std::sync::atomic::{AtomicUsize, Ordering};

use rekursing_market::{Account, Market, Terms};

use super::*;
use crate::{
    clock::Clock,
    place::{Place, aside, on_both_waiting},
    store::{Location, audit},
    stream::Stream,
    work::Work,
};

on_both_waiting! {
    what_was_spent_and_counted_is_the_same_after_a_restart,
    an_ad_is_its_visitors_alone_and_stands_for_a_while_since_it_was_sent,
    how_often_a_visitor_was_given_an_ad_and_clicked_outlives_a_restart,
    what_costs_nothing_is_counted_as_well,
    an_ad_that_nobody_takes_is_given_back,
    a_sensitive_or_unread_question_gets_no_ad,
    a_paid_answer_has_no_ad_and_a_free_one_has_it_once,
    sixty_four_racing_pages_never_overspend,
    a_budget_below_what_is_spent_is_refused_and_nothing_changes,
}

pub(crate) const ACCOUNT: AccountId = AccountId::from_bits(1);
const CAMPAIGN: CampaignId = CampaignId::from_bits(2);
const JOB: JobId = JobId::from_bits(3);
const VISITOR: u64 = 7;
const LAPTOP: &str = r#""messages":[{"role":"user","content":"Which laptop should I buy?"}]"#;

/// A relay's ads over this database, in which the advertiser has so much. They count as soon as
/// they are sent.
fn open(place: &Place, nanos: i64) -> Arc<Ads> {
    with("[ads]\nseen_after_ms = 0\nclick_after_ms = 0", &place.location, nanos)
}

fn with(config: &str, location: &Location, nanos: i64) -> Arc<Ads> {
    let config = Config::parse(config).unwrap();
    let clock = Clock::start();
    let (kept, book, store) = aside(|| {
        let mut unstarted = Store::open(location).unwrap();
        let kept = Kept::read(&mut unstarted, &config, clock.now()).unwrap();
        let opening = unstarted.opening().unwrap();
        let book = Book::restore(opening.balances, opening.holds);
        (kept, book, unstarted.start(opening.last, Box::new(|_| true)).unwrap())
    });
    let desk = Desk::new(Market::new(Terms::default(), book, 1), store, clock, 1_000);
    if nanos > 0 {
        desk.post(|book, now| {
            let grant = book.grant(now, "x", Account::Advertiser(ACCOUNT), Nanos::new(nanos)).unwrap();
            ((), vec![grant])
        });
    }
    Ads::new(kept, desk, Arc::default())
}

pub(crate) fn close(ads: &Ads) {
    aside(|| ads.store().stop());
}

pub(crate) async fn put(ads: &Ads, terms: &str) -> Result<(), NotTaken> {
    put_for(ads, 100, terms).await
}

/// Puts up the campaign, whose ad each visitor is given so often a day.
async fn put_for(ads: &Ads, per_visitor_day: u32, terms: &str) -> Result<(), NotTaken> {
    let json = format!(
        r#"{{"title":"Laptops","text":"For you","link":"https://example.com/x","budget":"1",
            "ends":{},"perVisitorDay":{per_visitor_day}{terms}}}"#,
        u64::MAX
    );
    let mut spec: Spec = serde_json::from_str(&json).unwrap();
    let campaign = spec.campaign(ACCOUNT, ads.desk.now()).unwrap();
    ads.put(CAMPAIGN, campaign, spec, None).await
}

/// Makes a relay's ads with one campaign, and an ad of it that is chosen and not sent.
pub(crate) async fn ready(place: &Place) -> (Arc<Ads>, Placing) {
    let ads = open(place, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2""#).await.unwrap();
    let placing = Placing::chosen(ads.place(JOB, LAPTOP, VISITOR, None).unwrap());
    (ads, placing)
}

/// Keeps everybody from the board until what is returned is dropped.
pub(crate) fn block(ads: &Ads) -> impl Sized {
    ads.board.lock()
}

/// Sends one ad and returns its tokens.
fn send(ads: &Arc<Ads>) -> (String, String) {
    let sent = ads.place(JOB, LAPTOP, VISITOR, None).unwrap().send();
    let click = sent["link"].as_str().unwrap().strip_prefix("/ad/click/").unwrap();
    (sent["impressionToken"].as_str().unwrap().to_owned(), click.to_owned())
}

fn spend(ads: &Ads) -> Spend {
    ads.campaign(CAMPAIGN).unwrap().spend
}

async fn what_was_spent_and_counted_is_the_same_after_a_restart(place: Place) {
    let ads = open(&place, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2","bidPerClick":"0.05""#).await.unwrap();
    for clicks in [false, true, true] {
        let (seen, click) = send(&ads);
        assert_eq!(ads.seen(&seen, VISITOR).await, Ok(true));
        assert_eq!(ads.seen(&seen, VISITOR).await, Ok(false));
        if clicks {
            assert_eq!(ads.clicked(&click, VISITOR).await, Ok(true));
            assert_eq!(ads.clicked(&click, VISITOR).await, Ok(false));
        }
    }
    // The floors, for nobody bids against it: 0.1 USD for a thousand, 0.01 USD for a click.
    let before = spend(&ads);
    assert_eq!(before.total, Nanos::new(3 * 100_000 + 2 * 10_000_000));
    let (open_seen, open_click) = send(&ads);
    ads.flush().await;
    close(&ads);

    let again = open(&place, 0);
    let after = Spend { reserved: Nanos::ZERO, ..before };
    assert_eq!(spend(&again), after);
    assert_eq!(
        again.desk.balance(Account::Advertiser(ACCOUNT)),
        Nanos::new(1_000_000_000 - before.total.get())
    );
    // What was out is not, but its link still leads to where it led.
    assert_eq!(again.seen(&open_seen, VISITOR).await, Err(NotCounted::Over));
    assert_eq!(again.clicked(&open_click, VISITOR).await, Err(NotCounted::Over));
    assert_eq!(again.destination(&open_click).as_deref(), Some("https://example.com/x"));
    let today = again.desk.now().day();
    let days = again.store().campaign_days(CAMPAIGN, today - 1).await.unwrap();
    let [day] = days.as_slice() else { panic!("{days:?}") };
    assert_eq!((day.sent, day.impressions, day.clicks, day.spent), (4, 3, 2, before.total));
    assert_eq!(again.store().ad_days(today - 1).await.unwrap(), days);
    close(&again);
    assert_eq!(aside(|| audit(&place.location).unwrap().wrong), None);
}

async fn an_ad_is_its_visitors_alone_and_stands_for_a_while_since_it_was_sent(place: Place) {
    let ads =
        with("[ads]\nseen_after_ms = 600_000\nclick_after_ms = 600_000", &place.location, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2","bidPerClick":"0.05""#).await.unwrap();
    let (seen, click) = send(&ads);
    let (token, click) = (seen.as_str(), click.as_str());
    assert_eq!(ads.seen(token, VISITOR + 1).await, Err(NotCounted::OtherVisitor));
    assert_eq!(ads.clicked(click, VISITOR + 1).await, Err(NotCounted::OtherVisitor));
    assert!(matches!(ads.seen(token, VISITOR).await, Err(NotCounted::TooSoon { .. })));
    assert!(matches!(ads.clicked(click, VISITOR).await, Err(NotCounted::TooSoon { .. })));
    assert_eq!(spend(&ads).total, Nanos::ZERO);
    // The ad's time begins when it is sent.
    let later = ads.desk.now() + Span::secs(600);
    let (impression, _) = ads.tokens.read(Use::Seen, token).unwrap();
    ads.tell(News::Sent(impression, later));
    let counted = ads.count_now(|board, book, _| board.confirm(later, impression, VISITOR, book));
    assert_eq!(counted, Err(NotCounted::TooSoon { wait: Span::secs(600) }));
    close(&ads);
}

async fn how_often_a_visitor_was_given_an_ad_and_clicked_outlives_a_restart(place: Place) {
    let config = "[ads]\nseen_after_ms = 0\nclick_after_ms = 0\nclicks_per_visitor = 1";
    let ads = with(config, &place.location, 1_000_000_000);
    put_for(&ads, 2, r#","bidPerThousand":"2","bidPerClick":"0.05""#).await.unwrap();
    // What nobody takes does not count.
    for _ in 0..3 {
        drop(ads.place(JOB, LAPTOP, VISITOR, None).unwrap());
    }
    let (_, click) = send(&ads);
    assert_eq!(ads.clicked(&click, VISITOR).await, Ok(true));
    close(&ads);

    let again = with(config, &place.location, 0);
    let (seen, click) = send(&again);
    assert_eq!(again.seen(&seen, VISITOR).await, Ok(true));
    assert_eq!(again.clicked(&click, VISITOR).await, Err(NotCounted::ClicksUsed));
    close(&again);

    let last = with(config, &place.location, 0);
    assert_eq!(last.place(JOB, LAPTOP, VISITOR, None).unwrap_err(), "none_fits");
    last.place(JOB, LAPTOP, VISITOR + 1, None).unwrap();
    close(&last);
}

async fn what_costs_nothing_is_counted_as_well(place: Place) {
    let ads = open(&place, 1_000_000_000);
    put(&ads, r#","bidPerClick":"0.05""#).await.unwrap();
    let (seen, _) = send(&ads);
    assert_eq!(ads.seen(&seen, VISITOR).await, Ok(true));
    let (seen, _) = send(&ads);
    assert_eq!(ads.seen(&seen, VISITOR).await, Ok(true));
    close(&ads);
    let again = open(&place, 0);
    assert_eq!((spend(&again).impressions, spend(&again).total), (2, Nanos::ZERO));
    close(&again);
}

async fn an_ad_that_nobody_takes_is_given_back(place: Place) {
    let ads = open(&place, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2""#).await.unwrap();
    let placement = ads.place(JOB, LAPTOP, VISITOR, None).unwrap();
    assert_eq!(placement.expected(), Nanos::new(50_000));
    assert!(spend(&ads).reserved > Nanos::ZERO);
    drop(placement);
    assert_eq!(spend(&ads).reserved, Nanos::ZERO);
    close(&ads);
}

async fn a_sensitive_or_unread_question_gets_no_ad(place: Place) {
    let ads = open(&place, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2""#).await.unwrap();
    for (question, why) in [
        (r#""messages":[{"role":"user","content":"A laptop for my chemotherapy?"}]"#, "sensitive"),
        (r#""messages":[{"role":"user","content":"Какой ноутбук купить?"}]"#, "unread"),
        (r#""messages":[{"role":"user","content":[{"type":"image_url"}]}]"#, "unread"),
    ] {
        assert_eq!(ads.place(JOB, question, 7, None).unwrap_err(), why, "{question}");
    }
    close(&ads);
}

async fn a_paid_answer_has_no_ad_and_a_free_one_has_it_once(place: Place) {
    let ads = open(&place, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2""#).await.unwrap();
    let placing = |payer, call| {
        let fields = LAPTOP.to_owned();
        let work = Work {
            call,
            streamed: true,
            fields,
            prompt_tokens: 5,
            tokenizer: crate::tokens::Tokenizer::Rule,
            prompt_print: None,
            payer,
            part: crate::work::Part::First,
            room: crate::memory::Memory::of(1 << 20, 0)
                .reading(std::net::Ipv4Addr::LOCALHOST.into())
                .unwrap()
                .read(),
        };
        let stream = Stream::new(JobId::from_bits(1), work, 1_000);
        Placing::begin(&ads, &stream, None)
    };
    assert_eq!(placing(Payer::Page(ACCOUNT), Call::Chat).wait().await, None);
    assert_eq!(placing(Payer::Free { visitor: VISITOR }, Call::Embedding).wait().await, None);
    let ad = placing(Payer::Free { visitor: VISITOR }, Call::Chat).wait().await.unwrap();
    assert_eq!((&ad["label"], &ad["site"]), (&"Sponsored".into(), &"example.com".into()));
    assert_eq!(ad["why"], "This ad is shown beside any free answer.");
    close(&ads);
}

async fn sixty_four_racing_pages_never_overspend(place: Place) {
    let ads = open(&place, 1_000_000_000);
    // Money for ten impressions at the floor of 100,000, the last of them up to its bid of 2,000,000.
    put(&ads, r#","bidPerThousand":"2","dailyBudget":"0.0029""#).await.unwrap();
    let counted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let Ok(placement) = ads.place(JOB, LAPTOP, VISITOR, None) else { return };
                let sent = placement.send();
                let token = sent["impressionToken"].as_str().unwrap();
                let (impression, _) = ads.tokens.read(Use::Seen, token).unwrap();
                for _ in 0..2 {
                    if ads.count_now(|board, book, now| board.confirm(now, impression, VISITOR, book))
                        == Ok(true)
                    {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let spend = spend(&ads);
    let counted = counted.into_inner();
    assert!((1..=10).contains(&counted), "{counted}");
    assert_eq!(spend.total, Nanos::new(i64::try_from(counted).unwrap() * 100_000));
    assert_eq!((spend.reserved, spend.impressions), (Nanos::ZERO, counted as u64));
    assert_eq!(ads.desk.balance(Account::Free), spend.total);
    close(&ads);
}

async fn a_budget_below_what_is_spent_is_refused_and_nothing_changes(place: Place) {
    let ads = open(&place, 1_000_000_000);
    put(&ads, r#","bidPerThousand":"2""#).await.unwrap();
    let (seen, _) = send(&ads);
    ads.seen(&seen, VISITOR).await.unwrap();
    let refused = put(&ads, r#","bidPerThousand":"2","dailyBudget":"0.00001""#).await;
    assert!(matches!(refused, Err(NotTaken::Refused(BoardRefusal::Spent(_)))));
    assert_eq!(ads.campaign(CAMPAIGN).unwrap().spec.daily_budget, Some(Nanos::DOLLAR));
    close(&ads);
}
