//! What is kept of jobs at which the server's count of tokens is far from the relay's.

use std::sync::Arc;

use rekursing_market::{Payer, Request, Tier, Wish};
use rekursing_protocol::{
    Gpu, JobId, Nanos, Offer, OfferKind, PluginId, SessionId,
    frame::{Call, Inventory},
};
use rekursing_relay::{
    config::Config,
    delivery::Delivery,
    desk::Face,
    house::House,
    memory::Memory,
    outbox::Outbox,
    relay,
    stream::Stream,
    tokens::Tokenizer,
    work::{Part, Work},
};

fn offer(model: &str) -> Offer {
    Offer {
        model: model.to_owned(),
        kind: OfferKind::Text,
        architecture: String::new(),
        parameters: String::new(),
        quantization: String::new(),
        context: 4_096,
        slots: 1,
        loaded: true,
        vision: false,
        tools: false,
        continues: false,
        browser: false,
        price: None,
        least: None,
    }
}

/// Lets a plugin in that offers these models.
fn join(house: &House, models: &[&str]) {
    let face = Face { outbox: Outbox::new(100), name: "".into(), gpu: Arc::new(Gpu::default()) };
    let offers = models.iter().map(|model| offer(model)).collect();
    let inventory = Inventory { offers, slots: 1, ..Inventory::default() };
    house.desk.join(SessionId::from_bits(1), PluginId::from_bits(2), None, face, inventory);
}

/// Asks a model for an answer, which is `one`; the server says that it took so many tokens.
fn answer(house: &Arc<House>, number: u128, model: &str, claimed: u64) {
    let job = JobId::from_bits(number);
    let payer = Payer::Free { visitor: 1 };
    let request = Request {
        job,
        payer,
        spender: None,
        kind: OfferKind::Text,
        model: Wish::Named(model.to_owned()),
        tier: Tier::Standard,
        prompt_tokens: 5,
        prompt_tokens_max: 5,
        answer_tokens_max: Some(100),
        price_max: None,
        cost_max: None,
        millitokens_per_second_min: 0,
        quantizations: Vec::new(),
        routing: None,
        needs_vision: false,
        is_verified: false,
        topics: None,
        ad_expected: Nanos::ZERO,
        stream: true,
        left_by: Vec::new(),
    };
    let fields = String::new();
    let work = Work {
        call: Call::Chat,
        streamed: true,
        fields,
        prompt_tokens: 5,
        tokenizer: Tokenizer::Rule,
        prompt_print: None,
        payer,
        part: Part::First,
        room: Memory::of(1 << 20, 0)
            .reading(std::net::Ipv4Addr::LOCALHOST.into())
            .expect("it is empty")
            .read(),
    };
    let stream = Stream::new(job, work, 1_000);
    house.desk.submit(request, &stream).expect("the plugin is free");
    let delivery = Delivery { house, stream: &stream, lease: 1 };
    delivery.text(0, "one").expect("the first piece");
    delivery.done(1, "stop", (Some(5), Some(claimed))).expect("the end");
}

#[tokio::test]
async fn a_server_that_counts_far_more_than_the_relay_is_noted_where_the_relay_knows_the_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    config.free.budget = Nanos::DOLLAR;
    let house = relay::open(config).unwrap();
    join(&house, &["qwen2.5-7b-instruct", "tiny-chat"]);
    answer(&house, 1, "qwen2.5-7b-instruct", 1);
    answer(&house, 2, "tiny-chat", 90);
    answer(&house, 3, "qwen2.5-7b-instruct", 90);
    house.desk.store().flushed().await;
    let statement = "SELECT job, plugin, model, counted_answer, claimed_answer FROM discrepancy";
    let rows = house.desk.store().read(move |sql| {
        sql.list(statement, &[], |row| {
            let texts = [row.text(0)?, row.text(1)?, row.text(2)?].map(str::to_owned);
            Ok((texts, row.number(3)?, row.number(4)?))
        })
    });
    let (job, plugin) = (JobId::from_bits(3).to_string(), PluginId::from_bits(2).to_string());
    assert_eq!(rows.await.unwrap(), [([job, plugin, "qwen2.5-7b-instruct".to_owned()], 1, 90)]);
    house.desk.store().stop();
}
