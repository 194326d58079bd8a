use std::{future::poll_fn, path::Path};

use http_body_util::BodyExt;
use rekursing_market::{Account, Tier};
use rekursing_protocol::{Moment, Nanos, PluginId, SessionId, Span, earnings::Receipt, frame::Inventory};

use super::*;
use crate::{
    ads::tests as ads,
    config::Config,
    delivery::Delivery,
    desk::Face,
    outbox::{Order, Outbox},
    relay,
    stream::tests::offer,
};

/// What an answer of a hundred tokens costs at the default ask, ten times over.
const ADDED: &str = "per_answer = \"0.0001\"\n";

/// A house in this folder that gives free answers on these terms, with money for a page and a campaign.
async fn house(folder: &Path, free: &str) -> Arc<House> {
    let text = format!("data_dir = {folder:?}\n[free]\nbudget = \"1\"\n{free}[ads]\nchoose_within_ms = 1");
    let house = relay::open(Config::parse(&text).unwrap()).unwrap();
    house.desk.post(|book, now| {
        let accounts = [Account::Page(ads::ACCOUNT), Account::Advertiser(ads::ACCOUNT)];
        let grants = accounts.map(|to| book.grant(now, &to.to_string(), to, Nanos::DOLLAR).unwrap());
        ((), grants.into())
    });
    ads::put(&house.ads, r#","bidPerThousand":"2""#).await.unwrap();
    house
}

/// Lets a plugin join that does one job at a time.
fn join(house: &House) -> Outbox {
    let outbox = Outbox::new(10);
    let face = Face { outbox: outbox.clone(), name: "".into(), gpu: Arc::default() };
    let offers = vec![rekursing_protocol::Offer { context: 4_096, ..offer("tiny", "") }];
    let inventory = Inventory {
        offers,
        slots: 1,
        paused: false,
        paused_until: None,
        serves: rekursing_protocol::Serves::Everyone,
        refuses: rekursing_protocol::Topics::NONE,
    };
    house.desk.join(SessionId::from_bits(1), PluginId::from_bits(2), None, face, inventory);
    outbox
}

/// Waits for a job, and says one word of its answer.
async fn begin(house: &Arc<House>, outbox: &Outbox) -> (Arc<Stream>, u32) {
    loop {
        for order in poll_fn(|context| outbox.poll_take(context)).await {
            if let Order::Start(stream, lease) = order {
                Delivery { house, stream: &stream, lease }.text(0, "one").unwrap();
                return (stream, lease);
            }
        }
    }
}

/// Reads a question that may have so many tokens of answer.
fn question(house: &House, payer: Payer, tokens: u64) -> Ask {
    let body = format!(
        r#"{{"prompt":"Which laptop should I buy?","model":"tiny","stream":true,"max_tokens":{tokens}}}"#
    );
    Ask::read(Dialect::Inference, &body, house.job_id(), payer).unwrap()
}

/// The next bytes of an answer.
async fn heard(body: &mut Body) -> String {
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_board_that_is_blocked_delays_no_word_of_an_answer() {
    let free = Payer::Free { visitor: 7 };
    for (terms, payer, hangs) in
        [(ADDED, free, true), ("", free, false), (ADDED, Payer::Page(ads::ACCOUNT), false)]
    {
        let folder = tempfile::tempdir().unwrap();
        let house = house(folder.path(), terms).await;
        let outbox = join(&house);
        let ask = question(&house, payer, 100);
        assert_eq!(hangs_on_ad(house.desk.terms(), &ask.request), hangs);
        let blocked = ads::block(&house.ads);
        let room = house.memory.reading(std::net::Ipv4Addr::LOCALHOST.into()).unwrap().read();
        let answered = answer(&house, Dialect::Inference, ask, None, room, None);
        let (answered, (stream, lease)) = tokio::join!(answered, begin(&house, &outbox));
        let mut body = answered.unwrap().into_body();
        let first = heard(&mut body).await;
        assert!(first.contains("event: token\ndata: {\"text\":\"one\"}"), "{first}");
        // The answer is not over, so the word came by itself.
        Delivery { house: &house, stream: &stream, lease }.done(1, "stop", (None, None)).unwrap();
        let rest = body.collect().await.unwrap().to_bytes();
        let rest = String::from_utf8(rest.to_vec()).unwrap();
        assert!(rest.contains("event: done"), "{rest}");
        assert!(!format!("{first}{rest}").contains("event: ad"), "nobody could choose one");
        drop(blocked);
        house.desk.store().stop();
    }
}

#[tokio::test]
async fn an_answer_that_only_its_ad_could_pay_for_is_refused_when_the_ad_is_not_there_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), ADDED).await;
    let _outbox = join(&house);
    let blocked = ads::block(&house.ads);
    let ask = question(&house, Payer::Free { visitor: 7 }, 1_024);
    let room = house.memory.reading(std::net::Ipv4Addr::LOCALHOST.into()).unwrap().read();
    let refused = answer(&house, Dialect::Inference, ask, None, room, None).await.unwrap_err();
    assert_eq!(refused.code, "free_not_covered");
    drop(blocked);
    assert_eq!(house.desk.streams(), 0);
    house.desk.store().stop();
}

#[tokio::test]
async fn a_visitors_prompt_is_not_counted_where_its_text_is_too_long_to_be_a_free_one() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), "prompt_tokens = 10\n").await;
    let asked = async |payer, bytes: usize| {
        let body = format!(r#"{{"prompt":"{}","model":"qwen2.5-7b"}}"#, "word ".repeat(bytes / 5));
        let room = house.memory.reading(std::net::Ipv4Addr::LOCALHOST.into()).unwrap().read();
        let read = read(&house, Dialect::Inference, body.into(), room, house.job_id(), payer).await;
        read.map(|(ask, _)| ask.request.prompt_tokens).map_err(|problem| problem.code)
    };
    for bytes in [2_000, 2 * READ_AT_ONCE_BYTES] {
        assert_eq!(asked(Payer::Free { visitor: 7 }, bytes).await, Err("context_too_long"));
        assert!(asked(Payer::Page(ads::ACCOUNT), bytes).await.unwrap() > 10);
    }
    assert!(asked(Payer::Free { visitor: 7 }, 100).await.unwrap() > 10, "how many it has is told");
    house.desk.store().stop();
}

#[test]
fn an_answer_whose_names_are_written_with_escapes_is_told_like_any_other() {
    let body = r#"{"\u0069d":"x","m\u006fdel":"theirs","\u0078":1,"choices":[]}"#.to_owned();
    let receipt = Receipt {
        job_id: JobId::from_bits(1),
        at: Moment(1),
        model: "tiny".to_owned(),
        prompt_tokens: 1,
        answer_tokens: 1,
        charge: Nanos::ZERO,
        fee: Nanos::ZERO,
        earned: Nanos::ZERO,
        held_back: Nanos::ZERO,
        release_at: None,
    };
    let (reason, first_token, generation) = ("stop".to_owned(), Span::ZERO, Span::ZERO);
    let finish = Finish { receipt, tier: Tier::Standard, reason, body, first_token, generation };
    let report = Report::new(JobId::from_bits(1), Moment(0), false);
    let told: Value =
        serde_json::from_str(&openai(Dialect::Chat, Encoding::Float, &finish, &report).unwrap()).unwrap();
    assert_eq!((&told["x"], &told["id"]), (&json!(1), &json!(report.id(Dialect::Chat))));
    assert_eq!(told["model"], json!(report.model()));
}
