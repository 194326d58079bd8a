//! The tools: what each is for, what it takes, and which route it is.

use std::sync::{Arc, LazyLock};

use axum::{Router, http::Method, http::request::Parts};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use super::{
    ask::{self, Listener},
    inner,
};

/// What an agent is told of the server.
const INSTRUCTIONS: &str = "Answers of language models on other people's GPUs, paid per token in US dollars. \
    `list_models` says what can be asked now, `estimate_cost` what an answer would cost, `ask` gets one. Send an \
    API key as a bearer token; its budgets hold here too. Without one, answers are free, few and carry an ad.";

/// The tools, each with the route that it is.
static TOOLS: LazyLock<Vec<(Tool, Method, &str)>> = LazyLock::new(|| {
    let described: Vec<Value> =
        serde_json::from_str(include_str!("tools.json")).expect("the description of the tools is JSON");
    let tools = described.into_iter().map(|described| {
        let text = |field: &str| described[field].as_str().expect("a tool's texts are written").to_owned();
        let schema = |field: &str| {
            Arc::new(described[field].as_object().expect("a tool's schemas are objects").clone())
        };
        let (method, path) = match described["name"].as_str() {
            Some("list_models") => (Method::GET, "/api/llm/models"),
            Some("ask") => (Method::POST, ask::ROUTE),
            Some("estimate_cost") => (Method::POST, "/api/llm/estimate"),
            Some("usage") => (Method::GET, "/api/account"),
            Some("rate_task") => (Method::POST, "/api/agents/rate"),
            other => unreachable!("no route is known for the tool {other:?}"),
        };
        let annotations = ToolAnnotations::new()
            .read_only(![ask::ROUTE, "/api/agents/rate"].contains(&path))
            .destructive(false);
        let tool = Tool::new(text("name"), text("description"), schema("inputSchema"))
            .with_title(text("title"))
            .with_raw_output_schema(schema("outputSchema"))
            .with_annotations(annotations);
        (tool, method, path)
    });
    tools.collect()
});

/// Answers the messages of one session.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    routes: Router,
}

impl Tools {
    pub(super) fn new(routes: Router) -> Tools {
        Tools { routes }
    }

    async fn ask(&self, caller: &Parts, body: Value, context: &RequestContext<RoleServer>) -> CallToolResult {
        let listener = Listener { token: context.meta.get_progress_token(), peer: context.peer.clone() };
        let answer = tokio::select! {
            answer = ask::ask(&self.routes, caller, body, &listener) => answer,
            () = context.ct.cancelled() => Err(json!({"code": "cancelled", "message": "the call was cancelled"})),
        };
        let texts = |answer: &Value| {
            let text = answer["text"].as_str().unwrap_or_default().to_owned();
            let calls = answer.get("toolCalls").map(Value::to_string);
            // Who is shown the texts alone sees the calls too.
            std::iter::once(text).chain(calls).collect()
        };
        told(answer, texts)
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let version = env!("CARGO_PKG_VERSION");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("rekursing", version).with_title("Rekursing"))
            .with_instructions(INSTRUCTIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|(tool, ..)| tool.name == name).map(|(tool, ..)| tool.clone())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(|(tool, ..)| tool.clone()).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let named = TOOLS.iter().find(|(tool, ..)| tool.name == request.name);
        let Some((_, method, path)) = named else {
            return Err(ErrorData::invalid_params("there is no such tool", None));
        };
        let Some(caller) = context.extensions.get::<Parts>() else {
            return Err(ErrorData::internal_error("the call has lost its head", None));
        };
        let body = Value::Object(request.arguments.unwrap_or_default());
        if *path == ask::ROUTE {
            return Ok(self.ask(caller, body, &context).await.into());
        }
        let response = inner::call(&self.routes, caller, method.clone(), path, &body).await;
        Ok(told(inner::whole(response).await, |answer| vec![answer.to_string()]).into())
    }
}

/// Writes a tool's answer: its texts for the model, and all of it for the program. An ad is a text of its own,
/// labelled, beside the model's.
fn told(answer: Result<Value, Value>, texts: impl Fn(&Value) -> Vec<String>) -> CallToolResult {
    let (texts, structured, is_error) = match answer {
        Ok(answer) => {
            let ad = answer.get("ad").filter(|ad| ad.is_object()).map(sponsored);
            (texts(&answer).into_iter().chain(ad).collect(), answer, false)
        }
        Err(error) => {
            let text = |field: &str| error[field].as_str().unwrap_or_default();
            (vec![format!("{}: {}", text("code"), text("message"))], json!({"error": error}), true)
        }
    };
    let content = texts.into_iter().map(ContentBlock::text).collect();
    let mut result = if is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = Some(structured);
    result
}

fn sponsored(ad: &Value) -> String {
    let text = |field: &str| ad[field].as_str().unwrap_or_default();
    format!("{}: {} ({}) {}", text("label"), text("title"), text("site"), text("text"))
}
