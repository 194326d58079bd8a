use std::{
    sync::atomic::{AtomicU32, Ordering},
    task::{Wake, Waker},
};

use rekursing_market::{Payer, Request, Tier};
use rekursing_protocol::{Nanos, Offer, OfferKind, PluginId, Price, SessionId, frame::Call};

use super::{attempt::EMPTY_PIECES_MAX, *};
use crate::{
    ask::{Ask, Dialect},
    memory::{KIB, Memory},
    outbox::Order,
};

const WINDOW: u32 = 100;

pub(crate) fn offer(model: &str, architecture: &str) -> Offer {
    Offer {
        model: model.to_owned(),
        kind: OfferKind::Text,
        architecture: architecture.to_owned(),
        parameters: String::new(),
        quantization: String::new(),
        context: 100,
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

fn assignment(lease: u32) -> Assignment {
    Assignment {
        job: JobId::from_bits(1),
        lease,
        session: SessionId::from_bits(2),
        plugin: PluginId::from_bits(3),
        offer: Arc::new(offer("tiny", "")),
        tier: Tier::Standard,
        price: Price::new(1, 1),
        answer_tokens_max: 10,
    }
}

/// A stream of an attempt that has begun.
fn stream(streamed: bool) -> (Arc<Stream>, Outbox) {
    stream_of(streamed, WINDOW)
}

fn stream_of(streamed: bool, window: u32) -> (Arc<Stream>, Outbox) {
    let (stream, outbox) = assigned_of(streamed, window);
    stream.began(1);
    (stream, outbox)
}

fn assigned(streamed: bool) -> (Arc<Stream>, Outbox) {
    assigned_of(streamed, WINDOW)
}

fn assigned_of(streamed: bool, window: u32) -> (Arc<Stream>, Outbox) {
    let stream = Stream::new(JobId::from_bits(1), work(streamed, ""), window);
    let outbox = Outbox::new(10);
    stream.assign(assignment(1), outbox.clone(), Moment(0));
    (stream, outbox)
}

fn receipt() -> Receipt {
    Receipt {
        job_id: JobId::from_bits(1),
        at: Moment(1),
        model: "tiny".to_owned(),
        prompt_tokens: 7,
        answer_tokens: 1,
        charge: Nanos::new(8),
        fee: Nanos::ZERO,
        earned: Nanos::new(8),
        held_back: Nanos::ZERO,
        release_at: None,
    }
}

fn streaming(fields: &str, window: u32) -> Arc<Stream> {
    Stream::new(JobId::from_bits(1), work(true, fields), window)
}

fn work(streamed: bool, fields: &str) -> Work {
    Work {
        call: Call::Chat,
        streamed,
        fields: fields.to_owned(),
        prompt_tokens: 7,
        tokenizer: Tokenizer::Rule,
        prompt_print: None,
        payer: Payer::Free { visitor: 1 },
        part: Part::First,
        room: Memory::of(1 << 20, KIB).reading(std::net::Ipv4Addr::LOCALHOST.into()).unwrap().read(),
    }
}

/// A stream of a request that has its room in a memory of so many bytes.
fn stream_within(memory: &Memory, part: Part) -> Arc<Stream> {
    let room = memory.reading(std::net::Ipv4Addr::LOCALHOST.into()).unwrap().read();
    let work = Work { part, room, ..work(true, "") };
    let stream = Stream::new(JobId::from_bits(1), work, 1 << 20);
    stream.assign(assignment(1), Outbox::new(10), Moment(0));
    stream.began(1);
    stream
}

fn take(stream: &Stream) -> Option<Batch> {
    take_at(stream, Moment(0))
}

fn take_at(stream: &Stream, now: Moment) -> Option<Batch> {
    match stream.poll_take(&mut Context::from_waker(Waker::noop()), now) {
        Poll::Ready(batch) => Some(batch),
        Poll::Pending => None,
    }
}

fn texts(batch: &Batch) -> Vec<&str> {
    fn text(piece: &Piece) -> Option<&str> {
        match piece {
            Piece::Text(text) => Some(text),
            Piece::Choices(_) => None,
        }
    }
    batch.pieces.iter().filter_map(text).collect()
}

fn orders(outbox: &Outbox) -> Vec<Order> {
    match outbox.poll_take(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(orders) => orders.into_iter().collect(),
        Poll::Pending => Vec::new(),
    }
}

#[test]
fn texts_that_wait_together_leave_together() {
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 0, "a", Moment(1)), Ok(true));
    assert_eq!(texts(&take(&stream).unwrap()), ["a"]);
    assert!(take(&stream).is_none());
    assert_eq!(stream.text(1, 1, "b", Moment(2)), Ok(false));
    assert_eq!(stream.text(1, 2, "c", Moment(3)), Ok(false));
    assert_eq!(texts(&take(&stream).unwrap()), ["bc"]);
    assert_eq!(stream.usage().first_token, Span(1));
    assert_eq!(stream.usage().generation, Span(2));
}

#[test]
fn a_plugin_may_send_no_more_than_the_page_has_taken_plus_the_window() {
    let (stream, outbox) = stream(true);
    assert_eq!(stream.text(1, 0, &"x".repeat(60), Moment(1)), Ok(true));
    assert_eq!(stream.text(1, 1, &"x".repeat(41), Moment(1)), Err(Fault::OverCredit));
    assert!(orders(&outbox).is_empty());
    take(&stream).unwrap();
    let credits = orders(&outbox);
    assert!(matches!(&credits[..], [Order::Credit(credit)] if credit.bytes == 60), "{credits:?}");
    assert_eq!(stream.text(1, 1, &"x".repeat(100), Moment(1)), Ok(false));
}

#[test]
fn pieces_come_in_order_of_the_right_kind_and_lease() {
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 1, "x", Moment(1)), Err(Fault::OutOfOrder));
    assert_eq!(stream.text(2, 0, "x", Moment(1)), Err(Fault::Stale));
    assert_eq!(stream.body(1, 0, "x", Moment(1), 10), Err(Fault::WrongKind));
    assert_eq!(stream.text(1, 0, "x", Moment(1)), Ok(true));
    assert_eq!(stream.text(1, 0, "x", Moment(1)), Err(Fault::OutOfOrder));
    assert!(matches!(stream.complete(1, 5, "stop", (None, None)), Err(Fault::OutOfOrder)));
}

#[test]
fn what_an_earlier_attempt_left_is_not_read() {
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 0, "old", Moment(1)), Ok(true));
    stream.assign(assignment(2), Outbox::new(10), Moment(5));
    assert!(take(&stream).is_none());
    assert_eq!(stream.text(2, 0, "new", Moment(6)), Ok(true));
    stream.began(2);
    assert_eq!(texts(&take(&stream).unwrap()), ["new"]);
}

#[test]
fn the_page_sees_no_piece_of_an_attempt_that_can_still_be_given_away() {
    let (stream, _) = assigned(true);
    assert_eq!(stream.text(1, 0, "old", Moment(1)), Ok(true));
    // Another thread reads for the page, and a third one gives the job away, before the desk hears of it.
    assert!(take(&stream).is_none());
    stream.assign(assignment(2), Outbox::new(10), Moment(2));
    stream.began(1);
    assert!(take(&stream).is_none());
    assert_eq!(stream.text(1, 1, "late", Moment(3)), Err(Fault::Stale));
    assert_eq!(stream.text(2, 0, "new", Moment(3)), Ok(true));
    assert!(take(&stream).is_none());
    stream.began(2);
    assert_eq!(texts(&take(&stream).unwrap()), ["new"]);
}

#[test]
fn the_page_is_woken_by_the_first_piece_once_it_may_see_it() {
    struct Woken(AtomicU32);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken(AtomicU32::new(0)));
    let count = || woken.0.load(Ordering::Relaxed);
    let (stream, _) = assigned(true);
    let waker = Waker::from(Arc::clone(&woken));
    assert!(stream.poll_take(&mut Context::from_waker(&waker), Moment(0)).is_pending());
    assert_eq!(stream.text(1, 0, "a", Moment(1)), Ok(true));
    assert_eq!(count(), 0);
    stream.began(1);
    assert_eq!(count(), 1);
}

#[test]
fn a_refusal_takes_along_what_had_not_begun_and_a_charge_does_not() {
    let (refused, _) = assigned(true);
    assert_eq!(refused.text(1, 0, "x", Moment(1)), Ok(true));
    refused.refused(Refusal::Draining);
    assert_eq!(texts(&take(&refused).unwrap()), [""; 0]);
    let (charged, _) = assigned(true);
    assert_eq!(charged.text(1, 0, "x", Moment(1)), Ok(true));
    charged.settled(receipt(), Tier::Standard, false);
    charged.failed(FailCode::Cut, String::new());
    charged.began(1);
    let batch = take(&charged).unwrap();
    assert_eq!(texts(&batch), ["x"], "the page paid for it");
    assert!(matches!(batch.ending, Some(Ending::Failed { receipt: Some(_), .. })));
}

#[test]
fn another_attempt_starts_afresh() {
    let (stream, _) = stream(false);
    assert_eq!(stream.body(1, 0, "{\"half", Moment(1), 1_000), Ok(false));
    stream.assign(assignment(2), Outbox::new(1), Moment(5));
    assert_eq!(stream.body(1, 1, "x", Moment(6), 1_000), Err(Fault::Stale));
    let answer = r#"{"choices":[{"message":{"content":"four"},"finish_reason":"stop"}]}"#;
    assert_eq!(stream.body(2, 0, answer, Moment(6), 1_000), Ok(false));
    let unread = stream.complete(2, 1, "", (None, None)).unwrap().unwrap();
    stream.read(2, unread.read().unwrap()).unwrap();
    assert_eq!(stream.usage().answer_tokens, 1);
    assert_eq!(stream.usage().prompt_tokens, 7);
}

#[test]
fn a_whole_answer_takes_as_long_as_its_page_waits_for_it() {
    let (stream, _) = stream(false);
    assert_eq!(stream.body(1, 0, r#"{"choices":[{"message":"#, Moment(3_000), 1_000), Ok(false));
    assert_eq!(stream.body(1, 1, r#"{"content":"four"}}]}"#, Moment(3_004), 1_000), Ok(false));
    let usage = stream.usage();
    assert_eq!((usage.first_token, usage.generation), (Span(0), Span(3_004)));
}

#[test]
fn a_whole_answer_that_is_none_is_malformed() {
    let (stream, _) = stream(false);
    assert_eq!(stream.body(1, 0, "<html>", Moment(1), 1_000), Ok(false));
    assert!(stream.complete(1, 1, "", (None, None)).unwrap().unwrap().read().is_none());
}

#[test]
fn a_whole_answer_past_the_limit_is_reported() {
    let (stream, _) = stream(false);
    assert_eq!(stream.body(1, 0, "12345", Moment(1), 6), Ok(false));
    assert_eq!(stream.body(1, 1, "67", Moment(1), 6), Ok(true));
}

#[test]
fn the_watchdog_blames_whoever_is_silent() {
    let patience = Patience { first_token: Span(100), idle: Span(50), total: Span(1_000), page: Span(30) };
    let (stream, _) = stream(true);
    assert_eq!(stream.stuck(Moment(100), &patience), None);
    assert_eq!(stream.stuck(Moment(101), &patience), Some(Stuck::Plugin(1)));
    assert_eq!(stream.text(1, 0, "x", Moment(90)), Ok(true));
    assert_eq!(stream.stuck(Moment(120), &patience), None);
    assert_eq!(stream.stuck(Moment(121), &patience), Some(Stuck::Page));
    take(&stream).unwrap();
    assert_eq!(stream.stuck(Moment(140), &patience), None);
    assert_eq!(stream.stuck(Moment(141), &patience), Some(Stuck::Plugin(1)));
}

#[test]
fn a_plugin_that_waited_for_its_page_is_not_silent_when_the_page_reads_at_last() {
    let patience = Patience { first_token: Span(100), idle: Span(50), total: Span(1_000), page: Span(300) };
    let (stream, _) = stream(true);
    // So much that less than a quarter of the window is left.
    assert_eq!(stream.text(1, 0, &"x".repeat(WINDOW as usize - 1), Moment(10)), Ok(true));
    stream.began(1);
    assert_eq!(stream.stuck(Moment(200), &patience), None, "the page has not read");
    take_at(&stream, Moment(200)).unwrap();
    assert_eq!(stream.stuck(Moment(250), &patience), None);
    assert_eq!(stream.stuck(Moment(251), &patience), Some(Stuck::Plugin(1)));
}

#[test]
fn a_piece_without_anything_in_it_neither_begins_an_answer_nor_keeps_it_alive() {
    let patience = Patience { first_token: Span(100), idle: Span(50), total: Span(1_000), page: Span(30) };
    let nothing = RawValue::from_string("[ ]".to_owned()).unwrap();
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 0, "", Moment(90)), Ok(false));
    assert_eq!(stream.choices(1, 1, &nothing, Moment(90)), Ok(false));
    assert!(take(&stream).is_none());
    assert_eq!(stream.stuck(Moment(101), &patience), Some(Stuck::Plugin(1)));
    assert_eq!(stream.text(1, 2, "x", Moment(90)), Ok(true));
    take(&stream).unwrap();
    assert_eq!(stream.text(1, 3, "", Moment(120)), Ok(false));
    assert_eq!(stream.stuck(Moment(141), &patience), Some(Stuck::Plugin(1)));
    for n in 4..EMPTY_PIECES_MAX + 1 {
        assert_eq!(stream.text(1, n, "", Moment(120)), Ok(false));
    }
    assert_eq!(stream.text(1, EMPTY_PIECES_MAX + 1, "", Moment(120)), Err(Fault::Empty));
}

/// A piece in which a model says nothing, at length.
fn padding(bytes: usize) -> Box<RawValue> {
    let padding = format!(r#"[{{"delta":{{"role":"assistant"}},"pad":"{}"}}]"#, "x".repeat(bytes));
    RawValue::from_string(padding).unwrap()
}

#[test]
fn padding_is_no_first_token() {
    let (stream, _) = stream(true);
    assert_eq!(stream.choices(1, 0, &padding(40), Moment(10)), Ok(true), "the page has something to read");
    take_at(&stream, Moment(2_000)).unwrap();
    assert_eq!(stream.text(1, 1, " \n", Moment(2_100)), Ok(false));
    assert_eq!(stream.text(1, 2, "word", Moment(2_500)), Ok(false));
    assert_eq!(stream.text(1, 3, " word", Moment(9_000)), Ok(false));
    let usage = stream.usage();
    assert_eq!((usage.first_token, usage.generation, usage.stalled), (Span(2_500), Span(6_500), Span(0)));
}

#[test]
fn padding_makes_no_page_slow() {
    let (stream, _) = stream_of(true, 64 * 1_024);
    assert_eq!(stream.text(1, 0, "word", Moment(0)), Ok(true));
    for second in 1..=10 {
        let now = Moment(u64::from(second) * 1_000);
        assert_eq!(stream.choices(1, 2 * second - 1, &padding(50_000), now), Ok(false));
        take_at(&stream, now + Span(900)).unwrap();
        assert_eq!(stream.text(1, 2 * second, " word", now + Span(950)), Ok(false));
    }
    assert_eq!((stream.usage().generation, stream.usage().stalled), (Span(10_950), Span(0)));
}

#[test]
fn a_window_that_a_plugin_fills_is_no_slow_page() {
    let (stream, _) = stream(true);
    for (n, at) in [(0, 1_000), (1, 2_000), (2, 3_000)] {
        assert_eq!(stream.text(1, n, &"word ".repeat(18), Moment(at)), Ok(n == 0));
        take_at(&stream, Moment(at + 5)).unwrap();
    }
    assert_eq!(stream.usage().stalled, Span(0));
}

#[test]
fn the_time_in_which_a_page_does_not_read_is_counted_once_more_tokens_come() {
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 0, "word ", Moment(500)), Ok(true));
    assert_eq!(stream.text(1, 1, &"word ".repeat(17), Moment(1_000)), Ok(false));
    take_at(&stream, Moment(4_000)).unwrap();
    assert_eq!(stream.usage().stalled, Span(0), "nothing came after it that was late");
    assert_eq!(stream.text(1, 2, "word", Moment(4_100)), Ok(false));
    let usage = stream.usage();
    assert_eq!((usage.generation, usage.stalled), (Span(3_600), Span(3_000)));
}

#[test]
fn a_page_that_leaves_bytes_while_there_is_room_slows_nobody() {
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 0, "word", Moment(500)), Ok(true));
    take_at(&stream, Moment(4_000)).unwrap();
    assert_eq!(stream.text(1, 1, "word", Moment(4_100)), Ok(false));
    assert_eq!(stream.usage().stalled, Span(0));
}

#[test]
fn thoughts_and_calls_of_tools_are_tokens() {
    for piece in [
        r#"[{"index":0,"delta":{"reasoning_content":"hm"}}]"#,
        r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"moons"}}]}}]"#,
    ] {
        let stream = streaming(r#""tools":[]"#, WINDOW);
        stream.assign(assignment(1), Outbox::new(1), Moment(0));
        let piece = RawValue::from_string(piece.to_owned()).unwrap();
        assert_eq!(stream.choices(1, 0, &piece, Moment(40)), Ok(true));
        assert_eq!(stream.text(1, 1, "word", Moment(100)), Ok(false));
        assert_eq!((stream.usage().first_token, stream.usage().generation), (Span(40), Span(60)));
    }
}

#[test]
fn a_page_neither_gets_nor_pays_another_choice_than_the_one_that_it_asked_for() {
    let raw = |json: String| RawValue::from_string(json).unwrap();
    let hidden = format!(r#"{{"index":1,"delta":{{"content":"{}"}}}}"#, "word ".repeat(10));
    let (stream, outbox) = stream_of(true, 400);
    assert_eq!(stream.text(1, 0, "Yes.", Moment(1)), Ok(true));
    take(&stream).unwrap();
    for n in 1..=9 {
        assert_eq!(stream.choices(1, n, &raw(format!("[{hidden}]")), Moment(1)), Ok(false));
        assert!(take(&stream).is_none());
    }
    assert!(!orders(&outbox).is_empty(), "what is dropped is not waited for");
    let one = r#"{"index":0,"delta":{"a":1}}"#;
    assert_eq!(stream.choices(1, 10, &raw(format!("[{one},{hidden}]")), Moment(2)), Ok(false));
    let batch = take(&stream).unwrap();
    assert!(matches!(batch.pieces.front(), Some(Piece::Choices(shown)) if shown.get() == format!("[{one}]")));
    assert_eq!(stream.usage().answer_tokens, 1);
    for n in 11..EMPTY_PIECES_MAX + 2 {
        assert_eq!(stream.choices(1, n, &raw(format!("[{hidden}]")), Moment(2)), Ok(false));
    }
    assert_eq!(
        stream.choices(1, EMPTY_PIECES_MAX + 2, &raw(format!("[{hidden}]")), Moment(2)),
        Err(Fault::Empty)
    );
}

#[test]
fn only_a_page_that_gave_tools_pays_for_their_calls() {
    let call = r#"[{"index":0,"delta":{"tool_calls":[{"function":{"name":"moons","arguments":"word"}}]}}]"#;
    for (fields, tokens) in [
        (r#""messages":[{"role":"user","content":"\"tools\":[]"}]"#, 0),
        (r#""messages":[],"tools":[{"type":"function","function":{"name":"moons"}}]"#, 3),
    ] {
        let stream = streaming(fields, 200);
        stream.assign(assignment(1), Outbox::new(1), Moment(0));
        let call = RawValue::from_string(call.to_owned()).unwrap();
        assert_eq!(stream.choices(1, 0, &call, Moment(1)), Ok(true));
        assert_eq!(stream.usage().answer_tokens, tokens, "{fields}");
    }
}

#[test]
fn nothing_is_taken_after_the_end() {
    let (stream, _) = stream(true);
    assert_eq!(stream.text(1, 0, "x", Moment(1)), Ok(true));
    stream.failed(FailCode::Cut, String::new());
    assert_eq!(stream.text(1, 1, "y", Moment(1)), Err(Fault::Stale));
    let batch = take(&stream).unwrap();
    assert_eq!(texts(&batch), ["x"]);
    assert!(matches!(batch.ending, Some(Ending::Failed { code: FailCode::Cut, receipt: None, .. })));
}

#[test]
fn choices_leave_on_one_line_and_must_be_a_list() {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let (stream, _) = stream(true);
    assert_eq!(stream.choices(1, 0, &raw("[\n\n{\"a\":\"x\\ny\"}\r]"), Moment(1)), Ok(true));
    let batch = take(&stream).unwrap();
    let Some(Piece::Choices(choices)) = batch.pieces.front() else { panic!("{batch:?}") };
    assert_eq!(choices.get(), "[  {\"a\":\"x\\ny\"} ]");
    assert_eq!(stream.choices(1, 1, &raw("{\"a\":\"it is no list\"}"), Moment(1)), Err(Fault::WrongKind));
}

#[test]
fn no_piece_costs_next_to_nothing() {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let (streamed, _) = stream(true);
    for json in ["[{}]", "[0,0,0,0,0,0,0]"] {
        assert_eq!(streamed.choices(1, 0, &raw(json), Moment(1)), Err(Fault::TooSmall), "{json}");
    }
    assert!(take(&streamed).is_none());
}

#[test]
fn no_more_pieces_wait_than_the_window_has_room_for() {
    let small = RawValue::from_string(r#"[{"delta":{"a":1}}]"#.to_owned()).unwrap();
    let (stream, _) = stream(true);
    for n in 0..3 {
        assert_eq!(stream.choices(1, n, &small, Moment(1)), Ok(n == 0));
    }
    assert_eq!(stream.choices(1, 3, &small, Moment(1)), Err(Fault::OverCredit));
}

#[test]
fn a_prompt_is_counted_by_the_model_of_whoever_has_the_job() {
    let payer = Payer::Free { visitor: 1 };
    let text = "The quick brown fox jumps over the lazy dog, and 日本語 too. ".repeat(20);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{text}"}}],"tools":[{{"type":"function","function":{{"name":"moons"}}}}]}}"#
    );
    let ask = Ask::read(Dialect::Chat, &body, JobId::from_bits(1), payer).unwrap();
    let Ask { call, fields, request, tokenizer, .. } = ask;
    let Request { prompt_tokens, prompt_tokens_max, .. } = request;
    let work = Work { call, fields, prompt_tokens, tokenizer, payer, ..work(true, "") };
    let stream = Stream::new(JobId::from_bits(1), work, WINDOW);
    for (lease, model, architecture) in
        [(1, "tiny", ""), (2, "qwen2.5-7b-instruct", ""), (3, "tuned", "qwen3"), (4, "gpt-oss-20b", "")]
    {
        let offer = Arc::new(offer(model, architecture));
        stream.assign(Assignment { offer, ..assignment(lease) }, Outbox::new(1), Moment(0));
        stream.count_prompt(lease);
        let named = body.replacen(
            '{',
            &format!(r#"{{"model":"{}","#, if lease == 3 { "qwen3-8b" } else { model }),
            1,
        );
        let known = Ask::read(Dialect::Chat, &named, JobId::from_bits(1), payer).unwrap().request;
        assert_eq!(stream.usage().prompt_tokens, known.prompt_tokens, "{model} {architecture}");
        assert_eq!(known.prompt_tokens_max, if lease == 1 { prompt_tokens_max } else { known.prompt_tokens });
        assert!(known.prompt_tokens <= prompt_tokens_max, "the hold covers every vocabulary");
    }
    assert_ne!(stream.usage().prompt_tokens, prompt_tokens, "the rule says something else");
    stream.count_prompt(3);
    assert_eq!(stream.usage().prompt_tokens, stream.work.prompt_tokens_by(Tokenizer::of("gpt-oss-20b")));
}

#[test]
fn an_attempt_goes_on_over_another_outbox_where_the_page_and_the_plugin_left_off() {
    let kept = |from, n| Kept { job: JobId::from_bits(1), lease: 1, from, n };
    let (stream, older) = stream(true);
    assert_eq!(stream.text(1, 0, &"x".repeat(60), Moment(1)), Ok(true));
    take(&stream).unwrap();
    assert_eq!(stream.text(1, 1, &"x".repeat(30), Moment(1)), Ok(false));
    // Its credit of 60 bytes may have been lost with the socket, and is told anew.
    let newer = Outbox::new(10);
    let job = JobId::from_bits(1);
    let open = Return::Open(Resumed { job, lease: 1, have: 2, credit: 70 });
    assert_eq!(stream.resume(1, Some(&kept(1, 5)), &newer, Moment(2)), open);
    take(&stream).unwrap();
    assert!(matches!(&orders(&newer)[..], [Order::Credit(credit)] if credit.bytes == 30));
    assert_eq!(orders(&older).len(), 1, "nothing more goes there");
    for unfit in [None, Some(kept(3, 5)), Some(kept(0, 1))] {
        assert_eq!(stream.resume(1, unfit.as_ref(), &newer, Moment(2)), Return::Lost, "{unfit:?}");
    }
    assert_eq!(stream.resume(2, Some(&kept(0, 5)), &newer, Moment(2)), Return::Lost);
    assert!(stream.complete(1, 2, "stop", (None, None)).is_ok());
    assert_eq!(stream.resume(1, None, &newer, Moment(2)), Return::Complete);
    assert_eq!(stream.complete(1, 2, "stop", (None, None)).err(), Some(Fault::Stale), "it ends once");
}

#[test]
fn deadlines_stand_still_while_the_plugin_has_no_socket() {
    let patience = Patience { first_token: Span(100), idle: Span(50), total: Span(1_000), page: Span(30) };
    let kept = Kept { job: JobId::from_bits(1), lease: 1, from: 0, n: 9 };
    let (stream, outbox) = stream(true);
    assert_eq!(stream.text(1, 0, "x", Moment(90)), Ok(true));
    stream.suspend(1, Moment(100));
    assert_eq!(stream.stuck(Moment(121), &patience), Some(Stuck::Page), "the page has its socket");
    take(&stream).unwrap();
    assert_eq!(stream.stuck(Moment(1_099), &patience), None);
    stream.resume(1, Some(&kept), &outbox, Moment(1_100));
    assert_eq!(stream.stuck(Moment(1_140), &patience), None);
    assert_eq!(stream.stuck(Moment(1_141), &patience), Some(Stuck::Plugin(1)), "it was silent before");
    assert_eq!(stream.text(1, 1, "x", Moment(1_200)), Ok(false));
    take(&stream).unwrap();
    assert_eq!(stream.stuck(Moment(1_250), &patience), None);
    stream.suspend(1, Moment(1_250));
    stream.resume(1, Some(&kept), &outbox, Moment(1_251));
    assert_eq!(stream.stuck(Moment(1_251), &patience), Some(Stuck::Plugin(1)), "it is away again and again");
}

#[test]
fn a_job_takes_no_longer_for_being_resumed() {
    let patience = Patience { first_token: Span(100), idle: Span(50), total: Span(1_000), page: Span(30) };
    let kept = Kept { job: JobId::from_bits(1), lease: 1, from: 0, n: 90 };
    let (stream, outbox) = stream(true);
    for n in 0..20 {
        let at = 50 * u64::from(n);
        assert!(stream.text(1, n, "x", Moment(at)).is_ok());
        take(&stream).unwrap();
        stream.suspend(1, Moment(at + 10));
        stream.resume(1, Some(&kept), &outbox, Moment(at + 30));
    }
    // Of this time it was there for 1,000 and away for 400.
    assert_eq!(stream.text(1, 20, "x", Moment(1_400)), Ok(false));
    take(&stream).unwrap();
    assert_eq!(stream.stuck(Moment(1_400), &patience), None);
    assert_eq!(stream.stuck(Moment(1_401), &patience), Some(Stuck::Job(1)));
}

#[test]
fn what_was_said_is_kept_for_the_next_owner_while_there_is_room_and_somebody_may_go_on() {
    let says = |stream: &Stream, n, bytes| {
        assert!(stream.text(1, n, &"x".repeat(bytes), Moment(1)).is_ok());
        assert!(take(stream).is_some(), "the page reads it in any case");
    };
    let kept = |stream: &Stream| stream.told().map(|told| told.said.text().len());
    let memory = Memory::of(12 * KIB, KIB);
    let (first, later) = (stream_within(&memory, Part::First), stream_within(&memory, Part::Later));
    says(&first, 0, 3 * KIB);
    says(&later, 0, KIB);
    let last = stream_within(&memory, Part::Last);
    says(&last, 0, 1);
    assert_eq!(kept(&last), None, "nobody goes on behind it");
    drop(last);
    says(&first, 1, 1);
    assert_eq!(kept(&first), None, "half of the memory is the requests'");
    says(&first, 2, 1);
    assert_eq!(kept(&first), None, "its beginning is gone");
    says(&later, 1, KIB);
    assert_eq!(kept(&later), Some(2 * KIB));
    drop((first, later));
    let rooms = std::iter::from_fn(|| Some(memory.reading(std::net::Ipv4Addr::LOCALHOST.into())?.read()));
    assert_eq!(rooms.collect::<Vec<_>>().len(), 12, "all of it is given back");
    let long = stream_within(&Memory::of(1 << 20, KIB), Part::First);
    says(&long, 0, 64 * KIB);
    says(&long, 1, 1);
    assert_eq!(kept(&long), None, "it is too long to be said again");
}
