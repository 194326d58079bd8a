//! How many requests wait at a model server, where it tells.
//!
//! llama.cpp's server (with `--metrics`) and vLLM tell, as figures for Prometheus under `/metrics`.
//! llama.cpp's `/slots` names only what it works on and not what waits; LM Studio and Ollama tell
//! nothing of it over HTTP.

use super::server::Kind;

/// The figures that count what waits: llama.cpp's, vLLM's (one for each of its engines).
const FIGURES: [&str; 2] = ["llamacpp:requests_deferred", "vllm:num_requests_waiting"];

/// Returns the path to `GET`, if this kind of server may tell.
pub fn path(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::LlamaCpp | Kind::Generic => Some("/metrics"),
        Kind::LmStudio | Kind::LmStudioV0 | Kind::Ollama | Kind::Browser => None,
    }
}

/// Reads the answer: how many requests wait, whoever sent them. `None` when it does not say.
pub fn read(status: u16, body: &[u8]) -> Option<u16> {
    let text = if status == 200 { std::str::from_utf8(body).ok()? } else { return None };
    sum(text, &FIGURES)
}

/// Adds up the figures of these names; `None` when there is none of them.
pub(super) fn sum(text: &str, names: &[&str]) -> Option<u16> {
    let sum = text.lines().filter_map(|line| figure(line, names)).reduce(u64::saturating_add)?;
    Some(u16::try_from(sum).unwrap_or(u16::MAX))
}

/// Reads one line, `name value` or `name{labels} value`, if it is of one of these names.
fn figure(line: &str, names: &[&str]) -> Option<u64> {
    let name = line.split(['{', ' ']).next().filter(|name| names.contains(name))?;
    // A label's value may hold spaces and braces; what follows the last brace is the figure.
    let rest = line.rsplit_once('}').map_or(&line[name.len()..], |(_, rest)| rest);
    let value = rest.split_ascii_whitespace().next()?;
    // vLLM writes whole numbers as `2.0`.
    value.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: &str = include_str!("../../tests/fixtures/llama-cpp-metrics.txt");

    #[test]
    fn llama_cpp_tells_what_it_has_deferred() {
        assert_eq!(read(200, LLAMA.as_bytes()), Some(3));
    }

    #[test]
    fn the_engines_of_vllm_are_added_up() {
        let text = "# TYPE vllm:num_requests_waiting gauge\n\
                    vllm:num_requests_waiting{engine=\"0\",model_name=\"a {b} c\"} 2.0\n\
                    vllm:num_requests_waiting{engine=\"1\",model_name=\"a {b} c\"} 5.0\n\
                    vllm:num_requests_waiting_by_reason{engine=\"0\"} 9.0\n";
        assert_eq!(read(200, text.as_bytes()), Some(7));
        assert_eq!(read(200, b"vllm:num_requests_waiting 70000"), Some(u16::MAX));
    }

    #[test]
    fn what_is_not_told_is_not_made_up() {
        for (status, body) in [
            (200, ""),
            (200, "<html>"),
            (200, "llamacpp:requests_processing 4\n"),
            (200, "llamacpp:requests_deferred\n"),
            (200, "llamacpp:requests_deferred NaN\n"),
            (501, LLAMA),
        ] {
            assert_eq!(read(status, body.as_bytes()), None, "{status} {body}");
        }
        assert_eq!(read(200, b"\xff"), None);
    }

    #[test]
    fn only_servers_that_may_tell_are_asked() {
        let asked = [Kind::LmStudio, Kind::LmStudioV0, Kind::Ollama, Kind::LlamaCpp, Kind::Generic]
            .map(|kind| path(kind).is_some());
        assert_eq!(asked, [false, false, false, true, true]);
    }
}
