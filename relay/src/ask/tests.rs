use rekursing_market::{Objective, Routing, Sort};
use rekursing_protocol::{PluginId, Price, Span};

use super::*;

fn read(dialect: Dialect, body: &str) -> Result<Ask, Problem> {
    Ask::read(dialect, body, JobId::from_bits(1), Payer::Free { visitor: 1 })
}

fn refused(dialect: Dialect, body: &str) -> String {
    read(dialect, body).expect_err(body).message
}

#[test]
fn a_prompt_is_a_chat_of_one_message() {
    let ask = read(Dialect::Inference, r#" {"prompt":"Say \"hi\"","temperature":0,"maxTokens":5}"#).unwrap();
    assert_eq!(ask.fields, r#""messages":[{"role":"user","content":"Say \"hi\""}],"temperature":0"#);
    assert_eq!(ask.request.answer_tokens_max, Some(5));
    assert_eq!(ask.request.model, Wish::Any);
    assert_eq!(ask.request.prompt_tokens, 4 + 2);
    let ask = read(Dialect::Inference, r#"{"prompt":"hi"}"#).unwrap();
    assert_eq!(ask.fields, r#""messages":[{"role":"user","content":"hi"}]"#);
}

#[test]
fn a_text_that_is_longer_than_so_many_tokens_can_be_is_refused_before_it_is_counted() {
    let most = 5;
    let read = |dialect, body: &str| {
        Ask::read_within(dialect, body, JobId::from_bits(1), Payer::Free { visitor: 1 }, most)
    };
    let longest = " ".repeat(usize::try_from(most * TOKEN_BYTES_MAX).unwrap());
    let image = "A".repeat(10 * longest.len());
    for more in [false, true] {
        let text = format!("{longest}{}", if more { " " } else { "" });
        for (dialect, body) in [
            (Dialect::Inference, format!(r#"{{"model":"qwen2.5-7b","prompt":"{text}"}}"#)),
            (Dialect::Completion, format!(r#"{{"prompt":["{text}"]}}"#)),
            (Dialect::Embedding, format!(r#"{{"input":["{}","{}"]}}"#, &text[..9], &text[9..])),
            (Dialect::Responses, format!(r#"{{"input":"{text}"}}"#)),
            (
                Dialect::Chat,
                format!(
                    r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}},
                        {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
                ),
            ),
        ] {
            let refused = read(dialect, &body).err().map(|problem| problem.code);
            assert_eq!(refused, more.then_some("context_too_long"), "{dialect:?}");
        }
    }
}

#[test]
fn nothing_that_the_agent_does_not_know_goes_on() {
    let ask = read(
        Dialect::Chat,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"integrations":["x"],"cache_prompt":true,
            "max_tokens":7,"stream":true,"stream_options":{"include_usage":true},"seed":1,"stop":["x"]}"#,
    )
    .unwrap();
    assert_eq!(ask.fields, r#""messages":[{"role":"user","content":"hi"}],"seed":1,"stop":["x"]"#);
    assert!(ask.request.stream && ask.include_usage);
}

#[test]
fn images_are_counted_and_must_be_inside_the_request() {
    let with = |url: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"what"}},
                {{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}"#
        )
    };
    let ask = read(Dialect::Chat, &with("data:image/png;base64,AAAA")).unwrap();
    assert!(ask.request.needs_vision);
    assert!(ask.request.prompt_tokens > TOKENS_PER_IMAGE);
    for url in ["http://127.0.0.1/x", "file:///etc/passwd", "https://example.com/a.png", "DATA2:x"] {
        assert!(refused(Dialect::Chat, &with(url)).contains("data:"), "{url}");
    }
}

use crate::tokens::TOKENS_PER_IMAGE;

#[test]
fn wrong_requests_are_refused_with_a_sentence() {
    for (body, word) in [
        ("[]", "object"),
        ("", "object"),
        ("{\"messages\":[]}", "messages"),
        ("{\"messages\":7}", "messages"),
        ("{\"messages\":[{\"content\":\"x\"}]}", "messages"),
        ("{\"messages\":[{\"role\":\"root\",\"content\":\"x\"}]}", "role"),
        ("{}", "messages"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":2}", "one answer"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":-5}", "max_tokens"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":0}", "max_tokens"),
        (
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":1e99}",
            "`max_tokens` must be a whole number",
        ),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":-1}", "temperature"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":1e400}", "temperature"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"quality\":\"best\"}", "quality"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"maxPrice\":\"-1\"}", "maxPrice"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"minTps\":-1}", "minTps"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"messages\":[]}", "twice"),
        ("{\"prompt\":\"x\",\"maxPrice\":\"1.00000000é\"}", "maxPrice"),
        ("{\"prompt\":\"x\",\"maxCost\":\"0.123456789garbage\"}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxCost\":\"1e999\"}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxCost\":\"NaN\"}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxCost\":\"-e\"}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxCost\":-5e0}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxCost\":\"-5e0\"}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxCost\":-1E-9}", "maxCost"),
        ("{\"prompt\":\"x\",\"maxPrice\":-5e0}", "maxPrice"),
        ("{\"prompt\":\"x\",\"maxPrice\":{\"output\":-5e0}}", "maxPrice"),
        ("{\"prompt\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "not both"),
        ("{\"prompt\":\"\"}", "empty"),
        ("{\"prompt\":[\"x\"]}", "text"),
    ] {
        let message = refused(Dialect::Inference, body);
        assert!(message.contains(word), "{body}: {message}");
    }
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(Dialect::Chat, &deep).contains("deep"));
}

#[test]
fn prices_are_dollars_per_million_tokens() {
    let ask = |price: &str| {
        let body = format!(r#"{{"prompt":"x","maxPrice":{price}}}"#);
        read(Dialect::Inference, &body).unwrap().request.price_max.unwrap()
    };
    assert_eq!(ask("0.15"), Price::new(150_000, 150_000));
    assert_eq!(ask("\"0.15\""), Price::new(150_000, 150_000));
    assert_eq!(ask("1e-1"), Price::new(100_000, 100_000));
    assert_eq!(ask("{\"input\":1,\"output\":\"2.5\"}"), Price::new(1_000_000, 2_500_000));
    assert_eq!(ask("{\"output\":2}"), Price::new(u64::MAX, 2_000_000));
}

#[test]
fn completions_and_embeddings_take_their_own_inputs() {
    let ask = read(Dialect::Completion, r#"{"prompt":["once"],"stream":true,"echo":true}"#).unwrap();
    assert!(ask.request.stream);
    assert_eq!(ask.call, Call::Completion);
    assert!(refused(Dialect::Completion, r#"{"prompt":["a","b"]}"#).contains("one text"));
    let ask = read(Dialect::Embedding, r#"{"input":["a","bcdef"],"stream":true}"#).unwrap();
    assert!(!ask.request.stream);
    assert_eq!((ask.request.kind, ask.request.prompt_tokens), (OfferKind::Embedding, 3));
    assert!(refused(Dialect::Embedding, r#"{"input":[]}"#).contains("input"));
    for tokens in ["[9906,1917]", "[[9906],[1917,0]]"] {
        let message = refused(Dialect::Embedding, &format!(r#"{{"input":{tokens}}}"#));
        assert!(message.contains("check_embedding_ctx_length=False"), "{message}");
    }
    assert!(!refused(Dialect::Embedding, r#"{"input":[{}]}"#).contains("LangChain"));
}

#[test]
fn vectors_are_asked_for_in_one_of_two_ways_which_the_model_server_is_not_told() {
    for (format, encoding) in
        [("null", Encoding::Float), ("\"float\"", Encoding::Float), ("\"base64\"", Encoding::Base64)]
    {
        let body = format!(r#"{{"input":"a","encoding_format":{format}}}"#);
        let ask = read(Dialect::Embedding, &body).unwrap();
        assert_eq!((ask.encoding, ask.fields.as_str()), (encoding, r#""input":"a""#));
    }
    for format in ["\"int8\"", "7"] {
        let body = format!(r#"{{"input":"a","encoding_format":{format}}}"#);
        let problem = read(Dialect::Embedding, &body).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("encoding_format"), "{format}");
    }
    assert!(
        read(Dialect::Chat, r#"{"messages":[{"role":"user","content":"x"}],"encoding_format":7}"#).is_ok()
    );
}

#[test]
fn what_rides_beside_the_texts_is_counted_too() {
    let hidden = "r".repeat(40_000);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"x","reasoning_content":"{hidden}"}}]}}"#);
    assert!(read(Dialect::Chat, &body).unwrap().request.prompt_tokens > 9_000);
    let plain = r#"{"messages":[{"role":"user","content":"x"}],"temperature":0,"stop":["a","b"]}"#;
    assert_eq!(read(Dialect::Chat, plain).unwrap().request.prompt_tokens, 5);
}

#[test]
fn a_prompt_is_counted_again_as_it_was_counted_first() {
    let long = "words and more words, ".repeat(500);
    for (dialect, body) in [
        (Dialect::Inference, format!(r#"{{"model":"qwen3-8b","prompt":"{long}"}}"#)),
        (
            Dialect::Chat,
            format!(
                r#"{{"model":"qwen3-8b","messages":[{{"role":"system","content":"be \"brief\""}},{{"role":"user","content":[{{"type":"text","text":"{long}"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,AAAA"}}}}]}}],"tools":[{{"type":"function","function":{{"name":"moons"}}}}]}}"#
            ),
        ),
        (
            Dialect::Chat,
            format!(
                r#"{{"model":"qwen3-8b","messages":[{{"role":"user","content":"x","reasoning_content":"{long}"}}]}}"#
            ),
        ),
        (Dialect::Completion, format!(r#"{{"model":"qwen3-8b","prompt":["{long}"],"stop":["a"]}}"#)),
        (Dialect::Embedding, format!(r#"{{"model":"qwen3-8b","input":["{long}","","b"]}}"#)),
    ] {
        let ask = read(dialect, &body).unwrap();
        let again = prompt::recount(ask.call, &ask.fields, ask.tokenizer);
        assert_eq!(again, Some(ask.request.prompt_tokens), "{dialect:?}");
        assert_eq!(ask.request.prompt_tokens_max, ask.request.prompt_tokens, "the model is known");
        let unknown = read(dialect, &body.replacen("qwen3-8b", "auto", 1)).unwrap();
        assert!(
            unknown.request.prompt_tokens_max >= ask.request.prompt_tokens.max(unknown.request.prompt_tokens),
            "{dialect:?}"
        );
    }
    assert_eq!(prompt::recount(Call::Chat, "\"input\":\"x\"", Tokenizer::Rule), None);
}

#[test]
fn what_was_said_stands_behind_the_pages_messages_and_nothing_else_changes() {
    let fields = r#""temperature":0,"messages":[{"role":"user","content":"Which \"moon\"?"}],"seed":7"#;
    let behind = prompt::behind(fields, "It is\n\"Titan").unwrap();
    let json: serde_json::Value = serde_json::from_str(&format!("{{{behind}}}")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "temperature": 0, "seed": 7,
            "messages": [
                {"role": "user", "content": "Which \"moon\"?"},
                {"role": "assistant", "content": "It is\n\"Titan"},
            ],
        })
    );
    let answered = r#""messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]"#;
    assert_eq!(prompt::behind(answered, "z"), None);
    assert_eq!(prompt::behind(r#""prompt":"x""#, "z"), None);
}

#[test]
fn a_page_that_speaks_openrouters_words_is_understood() {
    let one: PluginId = PluginId::from_bits(1);
    let ask = |model: &str, provider: &str| {
        let body = format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"provider":{provider}}}"#
        );
        read(Dialect::Chat, &body)
    };
    let request = ask(
        "m",
        &format!(
            r#"{{"order":["{one}"],"only":["{one}"],"ignore":[],"allow_fallbacks":false,"quantizations":["int4"],
                "max_price":{{"prompt":0.5,"completion":"1","request":0}},"sort":"latency",
                "data_collection":"deny","require_parameters":true}}"#
        ),
    )
    .unwrap()
    .request;
    assert_eq!(
        (request.price_max, request.quantizations),
        (Some(Price::new(500_000, 1_000_000)), vec!["int4".to_owned()])
    );
    let routing = Routing {
        only: vec![one],
        ignore: vec![],
        order: vec![one],
        allows_fallbacks: false,
        sort: Some(Sort::Latency),
        denies_collection: true,
    };
    assert_eq!(request.routing.as_deref(), Some(&routing));
    for plain in ["null", "{}", r#"{"allow_fallbacks":true,"sort":null,"max_price":null,"new":[1]}"#] {
        assert_eq!(ask("m", plain).unwrap().request.routing, None, "{plain}");
    }
    for (model, provider, wish, sort) in [
        ("auto:floor", "null", Wish::Any, Some(Sort::Price)),
        ("qwen2.5:7b:nitro", "{}", Wish::Named("qwen2.5:7b".to_owned()), Some(Sort::Throughput)),
        (
            "m:nitro",
            r#"{"sort":{"by":"price","partition":"none"}}"#,
            Wish::Named("m".to_owned()),
            Some(Sort::Price),
        ),
        ("m:free", "{}", Wish::Named("m".to_owned()), None),
        ("m:free:nitro", "{}", Wish::Named("m".to_owned()), Some(Sort::Throughput)),
        ("m:1b:floor:free:floor", "{}", Wish::Named("m:1b".to_owned()), Some(Sort::Price)),
        ("m:free:1b", "{}", Wish::Named("m:free:1b".to_owned()), None),
    ] {
        let ask = ask(model, provider).unwrap();
        let is_free = ["m:free", "m:free:nitro", "m:1b:floor:free:floor"].contains(&model);
        assert_eq!((ask.is_free, &ask.request.model), (is_free, &wish), "{model}");
        assert_eq!(ask.request.routing.and_then(|routing| routing.sort), sort, "{model}");
    }
    for model in ["m:floor:nitro", "m:nitro:free:floor"] {
        let problem = ask(model, "null").unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("model"), "{model} wants both");
    }
    for (provider, word) in [
        ("7", "provider"),
        (r#"{"order":"x"}"#, "provider"),
        (r#"{"only":["Ada's workstation"]}"#, "plg_"),
        (r#"{"sort":"best"}"#, "throughput"),
        (r#"{"data_collection":"maybe"}"#, "deny"),
        (r#"{"max_price":{"prompt":-1}}"#, "amount"),
        (r#"{"quantizations":"int4"}"#, "provider"),
    ] {
        let problem = ask("m", provider).expect_err(provider);
        assert!(
            problem.message.contains(word)
                && problem.field.as_deref().is_some_and(|field| field.starts_with("provider")),
            "{provider}: {problem:?}"
        );
    }
}

#[test]
fn of_two_highest_prices_the_lower_counts_on_each_side() {
    let body = r#"{"prompt":"hi","maxPrice":{"input":1,"output":2},"provider":{"max_price":{"prompt":2,"completion":1}}}"#;
    let price = read(Dialect::Inference, body).unwrap().request.price_max;
    assert_eq!(price, Some(Price::new(1_000_000, 1_000_000)));
}

#[test]
fn auto_leaves_the_tier_to_the_market_with_an_objective_and_a_deadline() {
    let auto = |more: &str| {
        let body = format!(r#"{{"prompt":"hi","quality":"auto"{more}}}"#);
        let ask = read(Dialect::Inference, &body).expect(&body);
        assert_eq!((ask.request.tier, ask.fields.contains("quality")), (Tier::Standard, false));
        ask.auto.expect("it was asked for")
    };
    assert_eq!(auto(""), Auto::default());
    assert_eq!(auto(r#","objective":null,"deadline":null"#), Auto::default());
    assert_eq!(auto(r#","objective":"speed""#).objective, Objective::named("speed").unwrap());
    let weighed = auto(r#","objective":{"quality":2.5},"deadline":1500"#);
    assert_eq!(weighed.objective, Objective { quality_permille: 2_500, speed_permille: 500 });
    assert_eq!(weighed.deadline, Some(Span::millis(1_500)));
    assert_eq!(read(Dialect::Inference, r#"{"prompt":"hi"}"#).unwrap().auto, None);
    for (more, field) in [
        (r#","quality":"high","deadline":5"#, "deadline"),
        (r#","objective":"cost""#, "objective"),
        (r#","quality":"auto","objective":"best""#, "objective"),
        (r#","quality":"auto","objective":7"#, "objective"),
        (r#","quality":"auto","objective":{"quality":-1}"#, "objective"),
        (r#","quality":"auto","objective":{"cost":1}"#, "objective"),
        (r#","quality":"auto","deadline":0"#, "deadline"),
        (r#","quality":"auto","deadline":3600001"#, "deadline"),
        (r#","quality":"auto","deadline":"soon""#, "deadline"),
        (r#","quality":"Auto""#, "quality"),
    ] {
        let body = format!(r#"{{"prompt":"hi"{more}}}"#);
        assert_eq!(read(Dialect::Inference, &body).expect_err(&body).field.as_deref(), Some(field), "{body}");
    }
}

#[test]
fn no_owner_refuses_as_too_long_what_was_counted_as_fitting() {
    let prose = include_str!("../../../docs/owners.md");
    let german = include_str!("../../../extension/_locales/de/messages.json");
    let code = include_str!("../tokens.rs");
    let others =
        "Быстрая коричневая лиса прыгает через ленивую собаку. 敏捷的棕色狐狸跳过了懒狗。 ".repeat(50);
    let table = format!("|{}|{:40}|\n", "-".repeat(60), "").repeat(100);
    for text in [prose, german, code, &others, &table, &" ".repeat(4_000)] {
        let fields = serde_json::json!({"messages": [{"role": "user", "content": text}]}).to_string();
        let weight = request::build(Call::Chat, "m", true, &fields).unwrap().weight;
        for model in ["gpt-oss", "gpt-4", "llama-3", "qwen3", "deepseek", "mistral", "any"] {
            let counted = Tokenizer::of(model).count(text) + 4;
            let (least, about) = (weight.tokens_at_least(), weight.tokens());
            assert!(least <= counted, "{model} {counted} {least} {}", &text[..20]);
            assert!(about * 4 > counted, "{model} {counted} {about} {}", &text[..20]);
        }
    }
}

#[test]
fn what_is_wrong_is_named_as_whoever_asks_has_named_it() {
    const CHAT: &str = r#""messages":[{"role":"user","content":"go"}]"#;
    const IMAGE: &str = r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.example"}}]}]"#;
    const INPUT: &str = r#""input":"go""#;
    for (dialect, asked, field, value) in [
        (Dialect::Chat, CHAT, "tool_choice", "5"),
        (Dialect::Chat, CHAT, "stop", "7"),
        (Dialect::Chat, CHAT, "seed", "\"x\""),
        (Dialect::Chat, CHAT, "response_format", "\"json_object\""),
        (Dialect::Chat, CHAT, "top_logprobs", "21"),
        (Dialect::Chat, CHAT, "stream_options", "[true]"),
        (Dialect::Chat, CHAT, "provider", "[]"),
        (Dialect::Chat, CHAT, "provider", "[[\"plg_00000000000000000000000001\"]]"),
        (Dialect::Chat, CHAT, "provider", "{\"max_price\":[1,1]}"),
        (Dialect::Chat, CHAT, "provider", "{\"sort\":[\"price\"]}"),
        (Dialect::Responses, INPUT, "max_output_tokens", "1.5"),
        (Dialect::Responses, INPUT, "max_output_tokens", "0"),
        (Dialect::Responses, INPUT, "reasoning", "5"),
        (Dialect::Responses, INPUT, "reasoning", "{\"effort\":5}"),
        (Dialect::Responses, INPUT, "text", "\"x\""),
        (Dialect::Responses, INPUT, "metadata", "[]"),
    ] {
        let body = format!("{{{asked},\"{field}\":{value}}}");
        let problem = read(dialect, &body).expect_err(&body);
        assert_eq!(problem.field.as_deref(), Some(field), "{body}");
        assert!(problem.message.contains(field), "{body}: {}", problem.message);
    }
    let problem = read(Dialect::Chat, &format!("{{{IMAGE}}}")).expect_err("an image that is elsewhere");
    assert_eq!(problem.field.as_deref(), Some("messages"), "{}", problem.message);
}
