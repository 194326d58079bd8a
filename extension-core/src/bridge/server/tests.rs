//! What is found at an address, by what its server answers to which path.

use rekursing_protocol::OfferKind;

use super::*;

const LM_STUDIO_V1: &str = include_str!("../../../tests/fixtures/lm-studio-v1-models.json");
const LM_STUDIO_V0: &str = include_str!("../../../tests/fixtures/lm-studio-v0-models.json");
const OLLAMA_TAGS: &str = include_str!("../../../tests/fixtures/ollama-tags.json");
const OLLAMA_PS: &str = include_str!("../../../tests/fixtures/ollama-ps.json");
const LLAMA_PROPS: &str = include_str!("../../../tests/fixtures/llama-cpp-props.json");
const LLAMA_MODELS: &str = include_str!("../../../tests/fixtures/llama-cpp-models.json");
const UNKNOWN_PATH: &str = r#"{"error":"Unexpected endpoint or method. (GET /api/v1/models)"}"#;

type Server<'s> = &'s [(&'s str, u16, &'s str)];

/// Looks at a server that answers these paths and all others with 404; returns what was asked, too.
fn look(known: Option<Kind>, server: Server<'_>) -> (Outcome, Vec<&'static str>) {
    let mut probe = Probe::new(known);
    let mut asked = Vec::new();
    loop {
        let path = probe.path();
        asked.push(path);
        let answer = server.iter().find(|(known, _, _)| *known == path);
        let (status, body) = answer.map_or((404, "not found"), |(_, status, body)| (*status, *body));
        if let Some(outcome) = probe.answered(status, body.as_bytes()) {
            return (outcome, asked);
        }
        assert!(asked.len() < 20, "the plan has no end: {asked:?}");
    }
}

fn found(server: Server<'_>) -> (Kind, Vec<Model>) {
    let (kind, shelf) = shelf(server);
    (kind, shelf.models)
}

fn shelf(server: Server<'_>) -> (Kind, Shelf) {
    let (Outcome::Found { kind, shelf }, _) = look(None, server) else { panic!("nothing was found") };
    (kind, shelf)
}

fn names(models: &[Model]) -> Vec<&str> {
    models.iter().map(|model| model.id.as_str()).collect()
}

#[test]
fn lm_studio_offers_what_is_loaded() {
    let (kind, models) = found(&[("/api/v1/models", 200, LM_STUDIO_V1)]);
    assert_eq!(kind, Kind::LmStudio);
    let expected = Offer {
        model: "google/gemma-4-26b-a4b".to_owned(),
        kind: OfferKind::Text,
        architecture: "gemma4".to_owned(),
        parameters: "26B-A4B".to_owned(),
        quantization: "Q4_K_M".to_owned(),
        context: 4096,
        slots: 4,
        loaded: true,
        vision: true,
        tools: true,
        continues: false,
        browser: false,
        price: None,
        least: None,
    };
    assert_eq!(models, [Model { id: expected.model.clone(), offer: expected }]);
}

#[test]
fn every_loaded_instance_is_a_model_of_its_own() {
    let list = r#"{"models":[{"type":"embedding","key":"e","quantization":null,"params_string":null,"format":null,
        "max_context_length":2048,"loaded_instances":[{"id":"e","config":{"context_length":512}},
        {"id":"e:2","config":{"context_length":1024,"parallel":2}}]}]}"#;
    let (_, models) = found(&[("/api/v1/models", 200, list)]);
    let seen: Vec<_> =
        models.iter().map(|model| (model.id.as_str(), model.offer.context, model.offer.slots)).collect();
    assert_eq!(seen, [("e", 512, 1), ("e:2", 1024, 2)]);
    assert!(models.iter().all(|model| model.offer.kind == OfferKind::Embedding));
}

#[test]
fn the_older_lm_studio_is_found_by_its_own_list() {
    let v0 = LM_STUDIO_V0.replacen("not-loaded\",", "loaded\",\"loaded_context_length\":8192,", 1);
    let (kind, models) = found(&[("/api/v1/models", 200, UNKNOWN_PATH), ("/api/v0/models", 200, &v0)]);
    assert_eq!((kind, models.len()), (Kind::LmStudioV0, 1));
    let offer = &models[0].offer;
    assert_eq!(offer.model, "qwen2-vl-7b-instruct");
    assert_eq!((offer.context, offer.slots, offer.vision), (8192, 1, true));
    assert_eq!((offer.architecture.as_str(), offer.quantization.as_str()), ("qwen2_vl", "4bit"));
}

#[test]
fn ollama_offers_what_is_loaded_and_nothing_of_its_cloud() {
    let (kind, models) = found(&[
        ("/api/version", 200, r#"{"version":"0.12.3"}"#),
        ("/api/tags", 200, OLLAMA_TAGS),
        ("/api/ps", 200, OLLAMA_PS),
    ]);
    assert_eq!((kind, models.len()), (Kind::Ollama, 2));
    let offer = &models[0].offer;
    assert_eq!(offer.model, "deepseek-r1:latest");
    assert_eq!((offer.context, offer.slots), (8192, 1));
    assert_eq!(
        (offer.architecture.as_str(), offer.parameters.as_str(), offer.quantization.as_str()),
        ("qwen2", "7.6B", "Q4_K_M")
    );
    assert_eq!(models[1].offer.kind, OfferKind::Embedding);
}

#[test]
fn llama_cpp_tells_slots_and_context_by_its_props() {
    let (kind, models) = found(&[("/props", 200, LLAMA_PROPS), ("/v1/models", 200, LLAMA_MODELS)]);
    assert_eq!((kind, models.len()), (Kind::LlamaCpp, 1));
    let offer = &models[0].offer;
    assert_eq!((offer.model.as_str(), models[0].id.as_str()), ("tiny-chat", "tiny-chat"));
    assert_eq!((offer.context, offer.slots), (1024, 4));
    assert_eq!((offer.parameters.as_str(), offer.quantization.as_str()), ("886K", "F16"));
}

#[test]
fn folders_stay_at_home() {
    let list = r#"{"data":[{"id":"../models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf","meta":null}]}"#;
    let (_, models) = found(&[("/props", 200, LLAMA_PROPS), ("/v1/models", 200, list)]);
    assert_eq!(models[0].id, "../models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf");
    assert_eq!(models[0].offer.model, "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf");
    assert_eq!(models[0].offer.quantization, "Q4_K_M");
    for (id, name) in [
        (r"C:\Users\anna\model.gguf", "model.gguf"),
        ("/srv/models/llama", "llama"),
        ("~/llama", "llama"),
        ("google/gemma-4", "google/gemma-4"),
    ] {
        assert_eq!(public_name(id), name);
    }
}

#[test]
fn a_router_offers_what_it_has_loaded() {
    let list = r#"{"data":[{"id":"a","status":{"value":"loaded"}},{"id":"b","status":{"value":"unloaded"}},
        {"id":"c","status":{"value":"failed"}}]}"#;
    let (_, models) = found(&[("/props", 200, LLAMA_PROPS), ("/v1/models", 200, list)]);
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_llama_cpp_that_is_loading_has_nothing_yet() {
    let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    let everything: Vec<_> = ["/api/v1/models", "/api/v0/models", "/api/version", "/props", "/v1/models"]
        .map(|path| (path, 503, loading))
        .to_vec();
    assert_eq!(look(None, &everything).0, Outcome::Found { kind: Kind::LlamaCpp, shelf: Shelf::default() });
}

#[test]
fn any_other_server_is_known_by_its_list_alone() {
    let list = r#"{"object":"list","data":[{"id":"/models/qwen","max_model_len":32768},{"id":"text-embed-3"},{"id":""}]}"#;
    let (kind, models) = found(&[("/v1/models", 200, list)]);
    assert_eq!((kind, models.len()), (Kind::Generic, 2));
    assert_eq!((models[0].offer.model.as_str(), models[0].offer.context), ("qwen", 32_768));
    assert_eq!(models[1].offer.kind, OfferKind::Embedding);
}

#[test]
fn a_server_that_wants_a_token_says_so() {
    let wanted = r#"{"error":{"type":"invalid_request","code":"invalid_api_key","message":"An LM Studio API token is required"}}"#;
    assert_eq!(look(None, &[("/api/v1/models", 401, wanted)]).0, Outcome::TokenWanted);
    assert_eq!(look(None, &[("/v1/models", 401, "")]).0, Outcome::TokenWanted);
    let wanted = r#"{"error":"an API key is missing"}"#;
    assert_eq!(look(None, &[("/v1/models", 403, wanted)]).0, Outcome::TokenWanted);
}

#[test]
fn a_server_that_refuses_an_origin_says_nothing_or_names_it() {
    for said in ["", r#"{"error":"forbidden origin"}"#] {
        assert_eq!(look(None, &[("/v1/models", 403, said)]).0, Outcome::OriginRefused);
    }
}

#[test]
fn what_a_server_would_load_on_demand_is_told_apart_from_what_is_loaded() {
    let (_, lm_studio) = shelf(&[("/api/v1/models", 200, LM_STUDIO_V1)]);
    assert_eq!(names(&lm_studio.asleep), ["text-embedding-nomic-embed-text-v1.5-embedding"]);
    assert!(lm_studio.asleep.iter().all(|model| !model.offer.loaded && model.offer.context <= 4_096));
    let (_, older) = shelf(&[("/api/v0/models", 200, LM_STUDIO_V0)]);
    assert_eq!((older.models.len(), older.asleep.len(), older.asleep[1].offer.context), (0, 3, 4_096));
    let list =
        r#"{"data":[{"id":"a","status":{"value":"loaded"}},{"id":"b","status":{"value":"unloaded"}}]}"#;
    let (_, router) = shelf(&[("/props", 200, LLAMA_PROPS), ("/v1/models", 200, list)]);
    assert_eq!((names(&router.models), names(&router.asleep)), (vec!["a"], vec!["b"]));
}

#[test]
fn models_of_a_cloud_are_noticed_and_neither_loaded_nor_asleep() {
    let ollama = |tags: &str| {
        let server = [
            ("/api/version", 200, r#"{"version":"0.12.3"}"#),
            ("/api/tags", 200, tags),
            ("/api/ps", 200, r#"{"models":[]}"#),
        ];
        shelf(&server).1
    };
    let far =
        r#"{"name":"far:cloud","digest":"1b9d","remote_model":"far","remote_host":"https://ollama.com:443"}"#;
    let near = r#"{"name":"near:7b","digest":"0a8c","details":{"family":"llama"}}"#;
    let only = ollama(&format!(r#"{{"models":[{far}]}}"#));
    assert_eq!(only, Shelf { has_cloud: true, ..Shelf::default() });
    let both = ollama(&format!(r#"{{"models":[{far},{near}]}}"#));
    assert_eq!((names(&both.asleep), both.has_cloud), (vec!["near:7b"], true));
    assert!(!both.asleep[0].offer.loaded);
}

#[test]
fn what_serves_no_models_is_foreign() {
    assert_eq!(look(None, &[]).0, Outcome::Foreign);
    assert_eq!(look(None, &[("/v1/models", 200, "<html>")]).0, Outcome::Foreign);
    assert_eq!(look(Some(Kind::Ollama), &[]).0, Outcome::Foreign);
}

#[test]
fn a_known_kind_is_asked_first_and_another_one_is_still_found() {
    let llama: Server<'_> = &[("/props", 200, LLAMA_PROPS), ("/v1/models", 200, LLAMA_MODELS)];
    let (outcome, asked) = look(Some(Kind::LlamaCpp), llama);
    assert!(matches!(outcome, Outcome::Found { kind: Kind::LlamaCpp, .. }));
    assert_eq!(asked, ["/props", "/v1/models"]);
    for known in [Kind::LmStudio, Kind::LmStudioV0, Kind::Ollama] {
        let (outcome, _) = look(Some(known), llama);
        assert!(matches!(outcome, Outcome::Found { kind: Kind::LlamaCpp, .. }), "{known:?}");
    }
    let lm_studio: Server<'_> = &[("/api/v1/models", 200, LM_STUDIO_V1), ("/v1/models", 200, LLAMA_MODELS)];
    for known in [Kind::LmStudioV0, Kind::Ollama, Kind::LlamaCpp, Kind::Generic] {
        let (outcome, _) = look(Some(known), lm_studio);
        assert!(matches!(outcome, Outcome::Found { kind: Kind::LmStudio, .. }), "{known:?}");
    }
}

#[test]
fn quantisations_are_found_in_names() {
    for (name, quantization) in [
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("model.iq2_xs.gguf", "IQ2_XS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("ggml-org/gemma:Q8_0", "Q8_0"),
        ("Qwen2.5-7B", ""),
        ("tiny-chat", ""),
    ] {
        assert_eq!(quantization_in(name), quantization, "{name}");
    }
}
