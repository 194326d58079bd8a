//! How the known servers say what they are and what they have.

use serde_json::{Value, json};

use super::header;

/// The model that a scripted server has.
pub const MODEL: &str = "script-7b";

/// Which server a scripted one speaks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Nothing but `/v1/models`.
    Plain,
    /// llama.cpp's server with this many slots.
    LlamaCpp(u16),
    /// llama.cpp's server with this many slots and a model that sees images.
    LlamaCppVision(u16),
    /// LM Studio 0.4 with this many parallel slots.
    LmStudio(u16),
    /// LM Studio before 0.4.
    LmStudioV0,
    /// Ollama, which refuses whoever names the origin of an extension, and has a cloud model too.
    Ollama,
    /// Ollama with models of a provider's cloud alone.
    OllamaCloud,
}

impl Dialect {
    /// Tells whether a POST of this head is refused whatever it asks.
    pub(super) fn refuses(self, head: &str) -> bool {
        matches!(self, Dialect::Ollama | Dialect::OllamaCloud)
            && header(head, "origin").is_some_and(|from| from.starts_with("chrome-extension"))
    }

    /// Tells whether a `POST` loads the model or unloads it, and what is said then; only LM Studio does that.
    pub(super) fn moves(self, path: &str, body: &Value) -> Option<(bool, Value)> {
        match (self, path) {
            (Dialect::LmStudio(_), "/api/v1/models/load") => Some((
                true,
                json!({"type": "llm", "instance_id": body["model"], "load_time_seconds": 0.1, "status": "loaded"}),
            )),
            (Dialect::LmStudio(_), "/api/v1/models/unload") => {
                Some((false, json!({"instance_id": body["instance_id"]})))
            }
            _ => None,
        }
    }

    /// Answers a question about the server.
    pub(super) fn answer(self, path: &str, head: &str, loaded: bool, busy: usize) -> (u16, Value) {
        if self.refuses(head) {
            return (403, json!({"error": "forbidden origin"}));
        }
        let found = match (self, path) {
            (Dialect::LlamaCpp(slots), "/props") => Some(props(slots, false)),
            (Dialect::LlamaCppVision(slots), "/props") => Some(props(slots, true)),
            (Dialect::LlamaCpp(slots), "/slots") => Some(slots_of(slots, busy)),
            (Dialect::LlamaCpp(_) | Dialect::LlamaCppVision(_), "/health") => Some(json!({"status": "ok"})),
            (Dialect::LlamaCpp(_) | Dialect::LlamaCppVision(_), "/v1/models") => Some(llama_models()),
            (Dialect::LmStudio(parallel), "/api/v1/models") => Some(lm_studio(parallel, loaded)),
            (Dialect::LmStudio(_) | Dialect::LmStudioV0, "/api/v0/models") => Some(lm_studio_v0()),
            (Dialect::Ollama | Dialect::OllamaCloud, "/api/version") => Some(json!({"version": "0.12.0"})),
            (Dialect::Ollama, "/api/tags") => Some(json!({"models": [ollama_model(), ollama_cloud()]})),
            (Dialect::OllamaCloud, "/api/tags") => Some(json!({"models": [ollama_cloud()]})),
            (Dialect::Ollama, "/api/ps") => Some(ollama_running()),
            (Dialect::OllamaCloud, "/api/ps") => Some(json!({"models": []})),
            (_, "/v1/models") => Some(json!({
                "object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "script"}],
            })),
            _ => None,
        };
        found.map_or_else(
            || (404, json!({"error": {"code": 404, "message": "not found"}})),
            |json| (200, json),
        )
    }
}

fn props(slots: u16, vision: bool) -> Value {
    json!({
        "default_generation_settings": {"n_ctx": 4096}, "total_slots": slots,
        "model_path": "/models/script-7b-Q4_K_M.gguf", "chat_template": "", "modalities": {"vision": vision},
        "build_info": "b1-script", "is_sleeping": false,
    })
}

/// Lists the slots, of which the first `busy` work.
fn slots_of(slots: u16, busy: usize) -> Value {
    let slot = |id: u16| json!({"id": id, "n_ctx": 4096, "is_processing": usize::from(id) < busy});
    (0..slots).map(slot).collect()
}

fn llama_models() -> Value {
    json!({"object": "list", "data": [{
        "id": MODEL, "object": "model", "created": 1_735_142_223, "owned_by": "llamacpp",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "meta": {"vocab_type": 2, "n_vocab": 128_256, "n_ctx_train": 131_072, "n_embd": 4096,
                 "n_params": 8_030_261_312_u64, "size": 4_912_898_304_u64},
    }]})
}

fn lm_studio(parallel: u16, loaded: bool) -> Value {
    let instance = json!({"id": MODEL, "config": {"context_length": 4096, "parallel": parallel}});
    let instances = if loaded { vec![instance] } else { Vec::new() };
    json!({"models": [
        {"type": "llm", "publisher": "script", "key": MODEL, "display_name": "Script 7B", "architecture": "llama",
         "quantization": {"name": "Q4_K_M", "bits_per_weight": 4}, "size_bytes": 4_912_898_304_u64,
         "params_string": "7B",
         "loaded_instances": instances,
         "max_context_length": 131_072, "format": "gguf",
         "capabilities": {"vision": false, "trained_for_tool_use": true}, "description": null},
        {"type": "llm", "publisher": "script", "key": "asleep-13b", "display_name": "Asleep 13B",
         "architecture": "llama", "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
         "size_bytes": 7_000_000_000_u64, "params_string": "13B", "loaded_instances": [],
         "max_context_length": 8192, "format": "gguf"},
    ]})
}

fn lm_studio_v0() -> Value {
    json!({"object": "list", "data": [
        {"id": MODEL, "object": "model", "type": "llm", "publisher": "script", "arch": "llama",
         "compatibility_type": "gguf", "quantization": "Q4_K_M", "state": "loaded",
         "max_context_length": 131_072, "loaded_context_length": 4096},
        {"id": "asleep-13b", "object": "model", "type": "llm", "publisher": "script", "arch": "llama",
         "compatibility_type": "gguf", "quantization": "Q4_K_M", "state": "not-loaded",
         "max_context_length": 8192},
    ]})
}

fn ollama_model() -> Value {
    json!({
        "name": MODEL, "model": MODEL, "size": 4_683_075_271_u64, "digest": "0a8c2669",
        "details": {"format": "gguf", "family": "llama", "parameter_size": "7B",
                    "quantization_level": "Q4_K_M", "context_length": 131_072},
        "capabilities": ["completion", "tools"],
    })
}

fn ollama_cloud() -> Value {
    json!({
        "name": "far-away:cloud", "model": "far-away:cloud", "size": 384, "digest": "1b9d",
        "remote_model": "far-away", "remote_host": "https://ollama.com:443",
        "details": {"format": "", "family": "", "parameter_size": "", "quantization_level": ""},
    })
}

fn ollama_running() -> Value {
    json!({"models": [{
        "name": MODEL, "model": MODEL, "size": 4_683_075_271_u64, "digest": "0a8c2669",
        "details": {"format": "gguf", "family": "llama", "parameter_size": "7B", "quantization_level": "Q4_K_M"},
        "expires_at": "2038-01-01T00:00:00Z", "size_vram": 4_683_075_271_u64, "context_length": 4096,
    }]})
}
