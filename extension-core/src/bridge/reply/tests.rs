//! What comes out of a server's bytes, on every way an answer can go.

use proptest::prelude::*;

use super::*;

const LLAMA_CPP: &str = include_str!("../../../tests/fixtures/llama-cpp-chat.sse");
const TOOLS: &str = include_str!("../../../tests/fixtures/tool-call.sse");
const WHOLE: &str = include_str!("../../../tests/fixtures/llama-cpp-chat.json");

fn terms() -> Terms {
    Terms {
        call: Call::Chat,
        stream: true,
        server: Kind::LlamaCpp,
        credit: 1 << 16,
        piece_bytes_max: 1 << 14,
        first_token: Span::secs(30),
        idle: Span::secs(10),
        total: Span::secs(300),
    }
}

/// Takes every step there is; pieces are written as one text.
fn steps(reply: &mut Reply) -> Vec<String> {
    std::iter::from_fn(|| reply.step())
        .map(|step| match step {
            Step::Piece(Piece::Text(text)) => format!("text {text}"),
            Step::Piece(Piece::Choices(raw)) => format!("choices {}", raw.get()),
            Step::Piece(Piece::Part(part)) => format!("part {part}"),
            Step::Pause => "pause".to_owned(),
            Step::Resume => "resume".to_owned(),
            Step::Done(ending) => format!("done {}", ending.finish),
            Step::Failed(fault) => format!("failed {:?}", fault.code),
        })
        .collect()
}

/// Runs a stream that comes in one read.
fn run(terms: Terms, stream: &str) -> Vec<String> {
    let mut reply = Reply::new(terms, Moment(0));
    reply.head(200, "text/event-stream", Moment(1));
    reply.feed(stream.as_bytes(), Moment(2));
    reply.end(Moment(3));
    steps(&mut reply)
}

fn text_event(text: &str) -> String {
    let choices = serde_json::json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]);
    format!("data: {{\"object\":\"chat.completion.chunk\",\"choices\":{choices}}}\n\n")
}

#[test]
fn texts_of_one_read_leave_as_one_piece() {
    assert_eq!(run(terms(), LLAMA_CPP), ["text blue k7x2", "done stop"]);
}

#[test]
fn texts_of_different_reads_leave_at_once() {
    let mut reply = Reply::new(terms(), Moment(0));
    reply.head(200, "text/event-stream; charset=utf-8", Moment(0));
    for word in ["a", "b"] {
        reply.feed(text_event(word).as_bytes(), Moment(5));
        assert_eq!(steps(&mut reply), [format!("text {word}")]);
    }
    assert!(steps(&mut reply).is_empty());
}

#[test]
fn the_servers_counts_come_with_the_end() {
    let mut reply = Reply::new(terms(), Moment(0));
    reply.head(200, "text/event-stream", Moment(1));
    reply.feed(LLAMA_CPP.as_bytes(), Moment(2));
    let last = std::iter::from_fn(|| reply.step()).last();
    let Some(Step::Done(ending)) = last else { panic!("{last:?}") };
    let expected = Ending { finish: "stop".to_owned(), prompt_tokens: Some(18), answer_tokens: Some(8) };
    assert_eq!(ending, expected);
    assert_eq!(reply.measure().pieces(), 7);
    assert_eq!(reply.deadline(), None);
}

#[test]
fn what_is_more_than_text_keeps_its_place() {
    let seen = run(terms(), TOOLS);
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert_eq!(seen[0], "text Let me look.");
    assert!(
        seen[1].contains("\"id\":\"call_1\"") && seen[2].contains("{\\\"city") && seen[3].contains("Ulm")
    );
    assert_eq!(seen[4], "done tool_calls");
}

#[test]
fn a_stream_that_is_none_fails_with_its_code() {
    let lm_studio = Terms { server: Kind::LmStudio, ..terms() };
    let text = text_event("a");
    let done = "data: [DONE]\n\n";
    let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for (terms, stream, end) in [
        (lm_studio, String::new(), "failed ContextOverflow"),
        (lm_studio, done.to_owned(), "failed ContextOverflow"),
        (lm_studio, stop.to_owned(), "failed Empty"),
        (terms(), String::new(), "failed Empty"),
        (terms(), done.to_owned(), "failed Empty"),
        (terms(), format!("{stop}{done}"), "failed Empty"),
        (terms(), text.clone(), "failed Cut"),
        (terms(), format!("{text}data: {{\"choices\""), "failed Malformed"),
        (terms(), format!("{text}data: hello\n\n"), "failed Malformed"),
        (terms(), format!("{text}data: {{\"error\":\"model crashed\"}}\n\n"), "failed ModelCrashed"),
        (
            terms(),
            format!("{text}event: error\ndata: {{\"error\":{{\"message\":\"no\"}}}}\n\n"),
            "failed ServerError",
        ),
        (terms(), format!("{text}data: {}\n\n", "x".repeat(2 << 20)), "failed Malformed"),
        (terms(), format!("{text}{done}"), "done stop"),
        (terms(), format!("{text}{stop}"), "done stop"),
        (terms(), format!("{text}{done}data: hello\n\n"), "done stop"),
        (terms(), format!("{text}data: [DONE]"), "done stop"),
    ] {
        let seen = run(terms, &stream);
        assert_eq!(seen.last().map(String::as_str), Some(end), "{stream:.80}");
        assert_eq!(seen.len(), if stream.starts_with(&text) { 2 } else { 1 }, "{seen:?}");
    }
}

#[test]
fn a_head_that_is_no_answers_fails_with_its_code() {
    for (stream, status, kind, body, end) in [
        (true, 200, "text/html", "<html>", "failed Malformed"),
        (true, 200, "", "", "failed Malformed"),
        (true, 200, "application/json", r#"{"choices":[]}"#, "failed Malformed"),
        (true, 200, "application/json", r#"{"error":"n_keep >= n_ctx"}"#, "failed ContextOverflow"),
        (false, 200, "text/event-stream", "data: {}", "failed Malformed"),
        (true, 503, "application/json", r#"{"error":{"message":"Loading model"}}"#, "failed ModelLoading"),
        (true, 401, "text/plain", "", "failed Unauthorized"),
        (true, 404, "text/plain", "", "failed ModelMissing"),
        (true, 302, "text/html", "", "failed Malformed"),
        (false, 500, "text/plain", "oops", "failed ServerError"),
    ] {
        let mut reply = Reply::new(Terms { stream, ..terms() }, Moment(0));
        reply.head(status, kind, Moment(1));
        reply.feed(body.as_bytes(), Moment(2));
        reply.end(Moment(3));
        assert_eq!(steps(&mut reply), [end], "{status} {kind} {body}");
    }
}

#[test]
fn a_broken_connection_is_told_by_how_far_it_was() {
    let mut reply = Reply::new(terms(), Moment(0));
    reply.broke();
    assert_eq!(steps(&mut reply), ["failed Unreachable"]);

    let mut reply = Reply::new(terms(), Moment(0));
    reply.head(200, "text/event-stream", Moment(1));
    reply.feed(text_event("a").as_bytes(), Moment(2));
    reply.broke();
    assert_eq!(steps(&mut reply), ["text a", "failed Cut"]);
}

#[test]
fn a_whole_answer_leaves_unchanged_in_parts() {
    let small = Terms { stream: false, piece_bytes_max: 1_000, credit: 2_500, ..terms() };
    let mut reply = Reply::new(small, Moment(0));
    reply.head(200, "application/json; charset=utf-8", Moment(1));
    for piece in WHOLE.as_bytes().chunks(100) {
        reply.feed(piece, Moment(2));
        assert!(steps(&mut reply).is_empty());
    }
    reply.end(Moment(50));
    let mut seen = steps(&mut reply);
    assert_eq!(seen.len(), 3);
    reply.allow(10_000, Moment(60));
    seen.extend(steps(&mut reply));
    assert_eq!(seen.pop().as_deref(), Some("done "));
    let whole: String = seen.iter().map(|piece| piece.strip_prefix("part ").unwrap()).collect();
    assert_eq!(whole, WHOLE);
}

#[test]
fn a_whole_answer_that_is_none_fails_with_its_code() {
    for (call, body, end) in [
        (Call::Chat, "", "failed Malformed"),
        (Call::Chat, "{}", "failed Malformed"),
        (Call::Chat, r#"{"choices":[]}"#, "failed Empty"),
        (Call::Chat, r#"{"choices":[{"message":{"role":"assistant","content":""}}]}"#, "failed Empty"),
        (Call::Chat, r#"{"error":{"message":"context length exceeded"}}"#, "failed ContextOverflow"),
        (Call::Completion, r#"{"choices":[{"text":""}]}"#, "failed Empty"),
        (Call::Embedding, r#"{"data":[]}"#, "failed Empty"),
        (Call::Embedding, r#"{"choices":[]}"#, "failed Malformed"),
    ] {
        let mut reply = Reply::new(Terms { stream: false, call, ..terms() }, Moment(0));
        reply.head(200, "application/json", Moment(1));
        reply.feed(body.as_bytes(), Moment(2));
        reply.end(Moment(3));
        assert_eq!(steps(&mut reply), [end], "{body}");
    }
}

#[test]
fn vectors_that_are_too_long_are_told_from_an_answer_that_is_none() {
    let quarter = vec![b'1'; WHOLE_BYTES_MAX / 4];
    for (call, end) in [
        (Call::Embedding, "failed TooLarge"),
        (Call::Chat, "failed Malformed"),
        (Call::Completion, "failed Malformed"),
    ] {
        let mut reply = Reply::new(Terms { stream: false, call, ..terms() }, Moment(0));
        reply.head(200, "application/json", Moment(1));
        for _ in 0..4 {
            reply.feed(&quarter, Moment(2));
            assert_eq!(steps(&mut reply), [""; 0], "as long as may be");
        }
        reply.feed(b"]", Moment(3));
        assert_eq!(steps(&mut reply), [end], "{call:?}");
    }
}

#[test]
fn never_more_leaves_than_the_credit_allows() {
    let mut reply = Reply::new(Terms { credit: 5, ..terms() }, Moment(0));
    reply.head(200, "text/event-stream", Moment(0));
    reply.feed(text_event("abcdü").as_bytes(), Moment(1));
    assert_eq!(steps(&mut reply), ["text abcd", "pause"]);
    reply.feed(text_event("xyz").as_bytes(), Moment(1));
    assert!(steps(&mut reply).is_empty());
    reply.allow(1, Moment(2));
    assert_eq!(steps(&mut reply), ["text ü"]);
    reply.allow(100, Moment(3));
    assert_eq!(steps(&mut reply), ["text xyz", "resume"]);
}

#[test]
fn a_chunk_is_not_cut_and_one_that_could_never_leave_is_refused() {
    let rich = r#"[{"delta":{"reasoning":"hm"}}]"#;
    let event = format!("data: {{\"choices\":{rich}}}\n\n");
    let bytes = u64::try_from(rich.len()).unwrap();
    let mut reply = Reply::new(Terms { credit: bytes, ..terms() }, Moment(0));
    reply.head(200, "text/event-stream", Moment(0));
    reply.feed(format!("{event}{event}").as_bytes(), Moment(1));
    assert_eq!(steps(&mut reply), [format!("choices {rich}"), "pause".to_owned()]);
    reply.allow(bytes - 1, Moment(2));
    assert!(steps(&mut reply).is_empty());
    reply.allow(1, Moment(2));
    assert_eq!(steps(&mut reply), [format!("choices {rich}"), "resume".to_owned()]);
    assert_eq!(run(Terms { credit: bytes - 1, ..terms() }, &event), ["failed Malformed"]);
    assert_eq!(run(Terms { piece_bytes_max: rich.len() - 1, ..terms() }, &event), ["failed Malformed"]);
}

#[test]
fn silence_ends_in_a_stall_at_each_deadline() {
    let mut reply = Reply::new(terms(), Moment(0));
    assert_eq!(reply.deadline(), Some(Moment(30_000)));
    reply.tick(Moment(29_999));
    assert!(steps(&mut reply).is_empty());
    reply.tick(Moment(30_000));
    assert_eq!(steps(&mut reply), ["failed Stalled"]);

    let mut reply = Reply::new(terms(), Moment(0));
    reply.head(200, "text/event-stream", Moment(1_000));
    reply.feed(b": ping\n\n", Moment(29_000));
    assert_eq!(reply.deadline(), Some(Moment(30_000)));
    reply.feed(text_event("a").as_bytes(), Moment(29_500));
    assert_eq!(reply.deadline(), Some(Moment(39_500)));
    reply.tick(Moment(39_500));
    assert_eq!(steps(&mut reply), ["text a", "failed Stalled"]);

    let whole = Reply::new(Terms { stream: false, ..terms() }, Moment(0));
    assert_eq!(whole.deadline(), Some(Moment(300_000)));
}

#[test]
fn an_end_that_only_lacks_its_mark_is_an_end() {
    let mut reply = Reply::new(terms(), Moment(0));
    reply.head(200, "text/event-stream", Moment(0));
    let stop = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    reply.feed(stop.as_bytes(), Moment(100));
    assert_eq!(steps(&mut reply), ["text a"]);
    reply.tick(Moment(10_100));
    assert_eq!(steps(&mut reply), ["done stop"]);
}

#[test]
fn a_slow_page_is_not_the_servers_silence() {
    let mut reply = Reply::new(Terms { credit: 1, ..terms() }, Moment(0));
    reply.head(200, "text/event-stream", Moment(0));
    reply.feed(text_event("ab").as_bytes(), Moment(100));
    assert_eq!(steps(&mut reply), ["text a", "pause"]);
    assert_eq!(reply.deadline(), Some(Moment(300_000)));
    reply.allow(9, Moment(200_000));
    assert_eq!(steps(&mut reply), ["text b", "resume"]);
    assert_eq!(reply.deadline(), Some(Moment(210_000)));
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_answer(
        which in 0usize..2,
        cuts in proptest::collection::vec(0usize..3_000, 0..20),
    ) {
        let stream = [LLAMA_CPP, TOOLS][which];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut reply = Reply::new(terms(), Moment(0));
        reply.head(200, "text/event-stream", Moment(0));
        for pair in cuts.windows(2) {
            reply.feed(&stream.as_bytes()[pair[0]..pair[1]], Moment(1));
        }
        reply.end(Moment(2));
        prop_assert_eq!(steps(&mut reply), run(terms(), stream));
    }
}
