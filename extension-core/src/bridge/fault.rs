//! Says in our words what went wrong at the server: from its status and its text to one code.

use rekursing_protocol::FailCode;
use serde::Deserialize;

use super::chunk::{ErrorBody, ServerError};

/// Longest detail that is passed on, in bytes.
pub const DETAIL_BYTES_MAX: usize = 500;

/// Why a job failed, and the server's words where the page needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: FailCode,
    /// The server's words when the page's request is at fault, else empty.
    pub detail: String,
}

impl Fault {
    /// Makes a fault without words.
    pub fn of(code: FailCode) -> Fault {
        Fault { code, detail: String::new() }
    }

    /// Reads an answer with a status other than 200.
    pub fn of_status(status: u16, body: &[u8]) -> Fault {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            error: ErrorBody<'a>,
        }
        let error = match serde_json::from_slice::<Body<'_>>(body) {
            Ok(body) => body.error.0,
            Err(_) => ServerError { message: String::from_utf8_lossy(body), ..ServerError::default() },
        };
        Fault::of_error(&ServerError { status, ..error })
    }

    /// Reads an error that the server wrote, in a body or amid the stream.
    pub fn of_error(error: &ServerError<'_>) -> Fault {
        let code = code(error);
        let detail = if code.is_pages_mistake() { shortened(&error.message) } else { String::new() };
        Fault { code, detail }
    }
}

/// What servers write when prompt and answer do not fit: llama.cpp, LM Studio, vLLM and OpenAI, Ollama.
const OVERFLOWS: [&str; 8] = [
    "exceed_context_size",
    "n_keep",
    "n_ctx",
    "context length",
    "context size",
    "context_length",
    "context window",
    "input length exceeds",
];

/// What servers write when the model is gone for good.
const CRASHES: [&str; 7] =
    ["crash", "out of memory", "exit code", "terminated", "segmentation fault", "cuda error", "unexpectedly"];

fn code(error: &ServerError<'_>) -> FailCode {
    let text = format!("{}{}", error.labels, error.message).to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&OVERFLOWS) {
        return FailCode::ContextOverflow;
    }
    if says(&["model_not_found", "no models loaded", "model not found", "not found, try pulling"]) {
        return FailCode::ModelMissing;
    }
    match error.status {
        401 | 403 => FailCode::Unauthorized,
        404 => FailCode::ModelMissing,
        429 => FailCode::Busy,
        503 if says(&["busy", "queue", "no slot"]) => FailCode::Busy,
        503 => FailCode::ModelLoading,
        _ if says(&["loading model", "model is loading"]) => FailCode::ModelLoading,
        _ if says(&CRASHES) => FailCode::ModelCrashed,
        400 | 413 | 422 => FailCode::BadRequest,
        300..=399 => FailCode::Malformed,
        _ if says(&["invalid_request", "bad_request"]) => FailCode::BadRequest,
        _ => FailCode::ServerError,
    }
}

/// Cuts a text at a character's edge and takes control characters out.
fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(DETAIL_BYTES_MAX);
    text[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_answer_has_its_code() {
        use FailCode::*;
        for (status, body, code) in [
            (
                400,
                r#"{"error":{"code":400,"message":"request (5011 tokens) exceeds the available context size (1024 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5011,"n_ctx":1024}}"#,
                ContextOverflow,
            ),
            (
                400,
                r#"{"error":"The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 4312>= n_ctx: 4096)."}"#,
                ContextOverflow,
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens","type":"BadRequestError"}}"#,
                ContextOverflow,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"Expected 'messages' to be an array","type":"invalid_request_error"}}"#,
                BadRequest,
            ),
            (413, "too large", BadRequest),
            (422, r#"{"detail":"no"}"#, BadRequest),
            (
                401,
                r#"{"error":{"type":"invalid_request","code":"invalid_api_key","message":"An LM Studio API token is required"}}"#,
                Unauthorized,
            ),
            (403, "", Unauthorized),
            (404, r#"{"error":"model 'x' not found"}"#, ModelMissing),
            (
                400,
                r#"{"error":{"message":"No models loaded. Please load a model","type":"invalid_request_error"}}"#,
                ModelMissing,
            ),
            (
                503,
                r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
                ModelLoading,
            ),
            (503, r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#, Busy),
            (429, "", Busy),
            (500, r#"{"error":"llama runner process has terminated: exit status 2"}"#, ModelCrashed),
            (500, r#"{"error":{"message":"CUDA error: out of memory"}}"#, ModelCrashed),
            (
                400,
                r#"{"error":"The model has crashed without additional information. (Exit code: 6)"}"#,
                ModelCrashed,
            ),
            (500, "oops", ServerError),
            (502, "", ServerError),
            (307, "", Malformed),
        ] {
            assert_eq!(Fault::of_status(status, body.as_bytes()).code, code, "{status} {body}");
        }
    }

    #[test]
    fn only_a_pages_mistake_is_told_in_the_servers_words() {
        let mistake = Fault::of_status(400, br#"{"error":"temperature\nmust be a number"}"#);
        assert_eq!(mistake.detail, "temperature must be a number");
        assert_eq!(Fault::of_status(500, br#"{"error":"C:\\Users\\anna\\model.gguf"}"#).detail, "");
        let long = format!(r#"{{"error":"{}"}}"#, "ü".repeat(400));
        assert_eq!(Fault::of_status(400, long.as_bytes()).detail, "ü".repeat(250));
    }
}
