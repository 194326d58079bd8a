//! How many requests a model server works on at this moment, where it tells.
//!
//! llama.cpp's server lists its slots unless it was started with `--no-slots`, and vLLM counts for
//! Prometheus. Ollama says when it will forget each model, and that moves with the end of each request. LM Studio
//! tells nothing of it over HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{queue, server::Kind};

/// vLLM's figure, one for each of its engines.
const RUNNING: &str = "vllm:num_requests_running";

/// Returns the path to `GET`, if this kind of server may tell.
pub fn path(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::LlamaCpp => Some("/slots"),
        Kind::Generic => Some("/metrics"),
        Kind::Ollama => Some("/api/ps"),
        Kind::LmStudio | Kind::LmStudioV0 | Kind::Browser => None,
    }
}

/// Reads when Ollama will forget each model that it has loaded.
pub fn expiries(status: u16, body: &[u8]) -> Option<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Running {
        models: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        name: String,
        expires_at: String,
    }
    let running: Running = if status == 200 { serde_json::from_slice(body).ok()? } else { return None };
    Some(running.models.into_iter().map(|row| (row.name, row.expires_at)).collect())
}

/// Reads the answer: how many requests are worked on, whoever sent them. `None` when it does not say.
pub fn read(status: u16, body: &[u8]) -> Option<u16> {
    #[derive(Deserialize)]
    struct Slot {
        is_processing: bool,
    }
    if status != 200 {
        return None;
    }
    if let Ok(slots) = serde_json::from_slice::<Vec<Slot>>(body) {
        let busy = slots.iter().filter(|slot| slot.is_processing).count();
        return Some(u16::try_from(busy).unwrap_or(u16::MAX));
    }
    queue::sum(std::str::from_utf8(body).ok()?, &[RUNNING])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_engines_that_work_are_counted() {
        let slots = r#"[{"id":0,"id_task":135,"n_ctx":4096,"is_processing":true,"params":{}},
                        {"id":1,"id_task":-1,"n_ctx":4096,"is_processing":false}]"#;
        assert_eq!(read(200, slots.as_bytes()), Some(1));
        let vllm =
            "vllm:num_requests_running{engine=\"0\"} 2.0\nvllm:num_requests_running{engine=\"1\"} 1.0\n";
        assert_eq!(read(200, vllm.as_bytes()), Some(3));
    }

    #[test]
    fn ollama_says_when_it_forgets_its_models() {
        let ps = br#"{"models":[{"name":"a:7b","size_vram":9,"expires_at":"2026-03-02T12:05:00.1+01:00"}]}"#;
        let expiries = expiries(200, ps).unwrap();
        assert_eq!(expiries["a:7b"], "2026-03-02T12:05:00.1+01:00");
        assert_eq!(super::expiries(200, b"{}"), None);
        assert_eq!(super::expiries(500, ps), None);
    }

    #[test]
    fn what_is_not_told_is_not_made_up() {
        for (status, body) in [
            (501, "[]"),
            (404, "no"),
            (200, "<html>"),
            (200, r#"[{"id":0}]"#),
            (200, "vllm:num_requests_waiting 3\n"),
        ] {
            assert_eq!(read(status, body.as_bytes()), None, "{status} {body}");
        }
        assert_eq!(read(200, b"[]"), Some(0));
    }
}
