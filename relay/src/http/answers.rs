//! Answers: the four routes on which pages ask, and the one on which they change their mind.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rekursing_market::{Auto, Gate, Payer, Refusal, Request, Wish, ads::Country, free::hangs_on_ad};
use rekursing_protocol::{AccountId, JobId, Topics};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Problem,
    agents::{self, Rater},
    caller::{self, Caller},
    estimates, events,
    once::{self, Fruitless},
    posted::{Named, Peer, Posted, Shared},
    provider,
};
use crate::{
    ads::Placing,
    answer,
    ask::{Ask, Dialect},
    continuation::Continuation,
    conversation,
    desk::Denial,
    estimate,
    house::{House, READ_AT_ONCE_BYTES},
    memory::Room,
    reader::{Events, Reader},
    replay::LastEvent,
    report::Report,
    responses,
    sse::Encoder,
    stream::{Ending, Finish, Stream},
    switches::Feature,
    vectors::{self, Encoding},
    work::{Part, Work},
};

/// How long a stream's headers wait for the first piece, so that a refusal can still have its status.
const HEADERS_WAIT: Duration = Duration::from_secs(8);

/// `POST /api/llm/inference`
pub(super) async fn inference(
    State(house): Shared,
    peer: Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    let dialect = Dialect::Inference;
    ask(house, dialect, peer, headers, posted).await.unwrap_or_else(IntoResponse::into_response)
}

/// `POST /v1/chat/completions`
pub(super) async fn chat(State(house): Shared, peer: Peer, headers: HeaderMap, posted: Posted) -> Response {
    ask(house, Dialect::Chat, peer, headers, posted).await.unwrap_or_else(Problem::into_openai)
}

/// `POST /v1/completions`
pub(super) async fn completion(
    State(house): Shared,
    peer: Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    ask(house, Dialect::Completion, peer, headers, posted).await.unwrap_or_else(Problem::into_openai)
}

/// `POST /v1/embeddings`
pub(super) async fn embedding(
    State(house): Shared,
    peer: Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    ask(house, Dialect::Embedding, peer, headers, posted).await.unwrap_or_else(Problem::into_openai)
}

/// `POST /v1/responses`
pub(super) async fn response(
    State(house): Shared,
    peer: Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    ask(house, Dialect::Responses, peer, headers, posted).await.unwrap_or_else(Problem::into_openai)
}

/// `DELETE /api/llm/inference/{jobId}`
pub(super) async fn cancel(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    job: Named,
) -> Result<Response, Problem> {
    caller::origin(&house, &headers)?;
    let Path(job) = job?;
    // The provider knows the job's id too, so that alone is no right to cancel.
    let caller = caller::caller(&house, &headers, peer).await?;
    let spender = caller.holder.as_ref().map(|holder| &*holder.spender);
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "job_not_found", "there is no such job under way");
    let job: JobId = job.parse().map_err(|_| unknown())?;
    let named = once::named(&headers, &caller, "/api/llm/inference/cancel", &once::about(job, b""))?;
    let cancelled = async {
        // An account's free answer is its network's.
        let visitor = || Payer::Free { visitor: caller::visitor(&house, &headers, peer) };
        if house.desk.cancel_by_id(job, caller.payer, spender)
            || (spender.is_some() && house.desk.cancel_by_id(job, visitor(), None))
        {
            Ok(StatusCode::NO_CONTENT.into_response())
        } else {
            Err(unknown())
        }
    };
    once::change(&house, named, job, cancelled).await
}

async fn ask(
    house: Arc<House>,
    dialect: Dialect,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, room }: Posted,
) -> Result<Response, Problem> {
    let caller = caller::caller(&house, &headers, peer).await?;
    let job = house.job_id();
    let named = once::named(&headers, &caller, dialect.route(), &body)?;
    let (mut ask, room) = read(&house, dialect, body, room, job, caller.payer).await?;
    if ask.auto.is_some() {
        estimates::rated(&house, caller.payer)?;
    }
    ask.is_numbered = named.is_some() && ask.request.stream && dialect == Dialect::Inference;
    let last = if ask.is_numbered { LastEvent::read(&headers)? } else { None };
    let named = named.map(|named| named.behind(last));
    pays(&house, &mut ask, caller.clone(), &headers, peer)?;
    let gates = gates(&ask, &caller)?;
    let call = named.as_ref().map(once::Named::fingerprint);
    let country = caller::country(&house, &headers);
    let asked = Arc::clone(&house);
    let rater = Rater { house: Arc::clone(&house), caller, headers, peer, embeddings: Map::new() };
    let answered = async move {
        let rated = agents::pass(&rater, &gates, &ask.fields, call.as_deref()).await?;
        answer(&asked, dialect, ask, country, room, rated).await
    };
    once::unstored(house, named, job.to_string(), answered).await
}

/// Returns everything that what is asked must be close to: by the page's own word, and by its key's.
fn gates(ask: &Ask, caller: &Caller) -> Result<Vec<Gate>, Problem> {
    let Some(holder) = &caller.holder else {
        let message = "objectives are an account's, so this needs an API key";
        return if ask.gate.is_none() { Ok(Vec::new()) } else { Err(Problem::field("objectives", message)) };
    };
    let mut gates: Vec<Gate> = Vec::new();
    for gate in ask.gate.iter().chain(holder.spender.gates()) {
        let is_same = |other: &&mut Gate| (&other.project, other.method) == (&gate.project, gate.method);
        // Of two bars of one kind the higher counts, and is looked at once.
        match gates.iter_mut().find(is_same) {
            Some(other) => other.threshold_permille = other.threshold_permille.max(gate.threshold_permille),
            None => gates.push(gate.clone()),
        }
    }
    Ok(gates)
}

/// Notes who pays for an answer, with which key. Refuses what the operator has switched off.
pub(super) fn pays(
    house: &House,
    ask: &mut Ask,
    Caller { payer, holder }: Caller,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<(), Problem> {
    ask.request.is_verified = holder.as_ref().is_some_and(|holder| holder.is_verified);
    if ask.is_free
        && let Payer::Page(account) = payer
    {
        ask.request.payer = free(house, account, headers, peer)?;
    } else {
        ask.request.spender = holder.map(|holder| holder.spender);
    }
    if let Payer::Free { .. } = ask.request.payer {
        house.switches.check(Feature::FreeAnswers)?;
    }
    if ask.auto.is_some() {
        house.switches.check(Feature::Agents)?;
    }
    Ok(())
}

/// Returns who pays for an account's answer that is to be free: its network's visitor, as if it had shown no key.
fn free(house: &House, account: AccountId, headers: &HeaderMap, peer: SocketAddr) -> Result<Payer, Problem> {
    if house.desk.premium(account).is_some() {
        let message =
            "free answers have an ad, and a premium account is never shown one: ask without `:free`";
        return Err(Problem::field("model", message));
    }
    let address = caller::address(house, headers, peer);
    if !house.rates.free_request(address) {
        return Err(Problem::rate_limited("too many requests for free answers; wait a minute"));
    }
    Ok(Payer::Free { visitor: house.desk.visitor(address) })
}

/// Has a request answered. `rated` is what is told of how close it was to what it had to be close to.
pub(super) async fn answer(
    house: &House,
    dialect: Dialect,
    ask: Ask,
    country: Option<Country>,
    room: Room,
    rated: Option<Value>,
) -> Result<Response, Problem> {
    let Ask {
        include_usage,
        is_numbered,
        call,
        fields,
        tokenizer,
        echo,
        encoding,
        auto,
        prompt_print,
        mut request,
        ..
    } = ask;
    let (job, payer) = (request.job, request.payer);
    let asked = house.desk.now();
    let streamed = request.stream;
    let prompt_tokens = request.prompt_tokens;
    let part = Part::First;
    let work = Work { call, streamed, fields, prompt_tokens, tokenizer, prompt_print, payer, part, room };
    let stream = Stream::new(job, work, house.config.limits.credit_bytes);
    let ad = prepare(house, &mut request, &stream, country).await;
    let choice = auto.map(|auto| choose(house, &mut request, &auto)).transpose();
    let choice = choice.map_err(|refusal| refuse(Denial::Refused(refusal), payer))?;
    let continuation = Continuation::of(&house.desk, &request, &stream);
    let ad = submit(house, request, &stream, ad, country).map_err(|denial| refuse(denial, payer))?;
    let reader = Reader::new(house.desk.clone(), stream, continuation);
    let mut report = Report::new(job, asked, streamed).chosen(choice).rated(rated);
    let is_free = matches!(payer, Payer::Free { .. });
    if is_free {
        report = report.with_receipts(house.receipts.clone());
    }
    let items = echo.map(|echo| responses::Answer::new(echo, house.config.limits.answer_bytes, &report));
    let mut response = if streamed {
        let encoder = Encoder::new(dialect, include_usage, report).beside(ad);
        self::streamed(reader, encoder.numbered(is_numbered).responding(items)).await
    } else {
        whole(house, (dialect, encoding), reader, report, ad, items).await
    }?;
    // OpenAI's SDKs show it under this name.
    if dialect != Dialect::Inference
        && let Some(job) = response.headers().get("x-rekursing-job").cloned()
    {
        response.headers_mut().insert("x-request-id", job);
    }
    if is_free && let Ok(token) = HeaderValue::from_str(&house.receipts.token(job)) {
        response.headers_mut().insert("x-rekursing-receipt", token);
    }
    Ok(response)
}

/// Finds out of a request what its matching depends on: what it is about, where an owner refuses something, and
/// what its ad can be expected to bring, where without the ad nobody pays for the answer. Then it waits a moment
/// for the ad, and goes on without what it would bring.
async fn prepare(
    house: &House,
    request: &mut Request,
    stream: &Arc<Stream>,
    country: Option<Country>,
) -> Option<Placing> {
    if house.desk.is_choosy() {
        request.topics = topics(house, stream).await;
    }
    if !hangs_on_ad(house.desk.terms(), request) {
        return None;
    }
    let mut ad = Placing::begin(&house.ads, stream, country);
    request.ad_expected = ad.expected(Duration::from_millis(house.config.ads.choose_within_ms)).await;
    Some(ad)
}

/// Has the market choose model and tier, and asks for those.
fn choose(house: &House, request: &mut Request, auto: &Auto) -> Result<Value, Refusal> {
    let choice = house.desk.choose(request, auto)?;
    request.tier = choice.estimate.tier;
    if request.model == Wish::Any {
        request.model = Wish::Named(choice.estimate.model.clone());
    }
    Ok(estimate::choice(&choice))
}

/// Hands a job to the desk. Unless it had to be there before, its ad is chosen while it is answered.
fn submit(
    house: &House,
    request: Request,
    stream: &Arc<Stream>,
    ad: Option<Placing>,
    country: Option<Country>,
) -> Result<Placing, Denial> {
    house.desk.submit(request, stream)?;
    house.ads.answers(&stream.work);
    Ok(ad.unwrap_or_else(|| Placing::begin(&house.ads, stream, country)))
}

/// Tells what a request is about; `None` when to read it panics.
async fn topics(house: &House, stream: &Arc<Stream>) -> Option<Topics> {
    if stream.work.fields.len() <= READ_AT_ONCE_BYTES {
        return Some(conversation::topics(&stream.work.fields));
    }
    let stream = Arc::clone(stream);
    house.aside(move || conversation::topics(&stream.work.fields)).await
}

/// Reads a request. To count a long prompt takes long enough to keep other streams waiting, so that is
/// done beside them. It has its room for as long as it is read, also when nobody waits for that any more.
pub(super) async fn read(
    house: &House,
    dialect: Dialect,
    body: Bytes,
    room: Room,
    job: JobId,
    payer: Payer,
) -> Result<(Ask, Room), Problem> {
    let short = body.len() <= READ_AT_ONCE_BYTES;
    let prompt_tokens_max = match payer {
        Payer::Free { .. } => house.desk.terms().free_prompt_tokens_max,
        Payer::Page(_) => u64::MAX,
    };
    let read = move || match std::str::from_utf8(&body) {
        Ok(text) => Ask::read_within(dialect, text, job, payer, prompt_tokens_max).map(|asked| (asked, room)),
        Err(_) => Err(Problem::bad_request("the body must be JSON in UTF-8")),
    };
    if short {
        return read();
    }
    house.aside(read).await.unwrap_or_else(|| Err(Problem::internal()))
}

/// A refusal for want of money names the way to get some.
pub(super) fn refuse(denial: Denial, payer: Payer) -> Problem {
    let mut problem = Problem::from(denial);
    let raise = match (payer, problem.code) {
        (Payer::Free { .. }, "free_budget_empty") => "free.budget",
        (Payer::Free { .. }, "free_not_covered") => "free.per_answer",
        (Payer::Free { .. } | Payer::Page(_), _) => return problem,
    };
    let way = format!("; ask with an API key, or raise {raise} if this relay is yours");
    problem.message.push_str(&way);
    problem
}

async fn streamed(mut reader: Reader, encoder: Encoder) -> Result<Response, Problem> {
    // Too early to wait any longer is no error: the refusal then comes as an event.
    if let Ok(Some(ending)) = tokio::time::timeout(HEADERS_WAIT, reader.first()).await {
        return Err(problem(ending));
    }
    let job = reader.stream().job.to_string();
    let fruitless = Fruitless::default();
    let mut response = events::respond(Body::new(Events::new(reader, encoder, fruitless.clone())));
    response.extensions_mut().insert(fruitless);
    name_job(response.headers_mut(), &job);
    Ok(response)
}

async fn whole(
    house: &House,
    (dialect, encoding): (Dialect, Encoding),
    mut reader: Reader,
    mut report: Report,
    ad: Placing,
    items: Option<responses::Answer>,
) -> Result<Response, Problem> {
    let finish = match reader.ending().await {
        Ending::Done(finish) => finish,
        ending @ (Ending::Refused(_) | Ending::TooLarge(_) | Ending::Failed { .. }) => {
            return Err(problem(ending));
        }
    };
    if let Some(assignment) = reader.stream().assignment() {
        let provider = provider::view(&house.desk, &assignment);
        report.named(&assignment.offer.model, assignment.tier.name(), provider);
    }
    report.finished(&finish);
    if let Some(ad) = ad.wait().await {
        report.sponsored(ad);
    }
    let short = finish.body.len() <= READ_AT_ONCE_BYTES;
    let stream = Arc::clone(reader.stream());
    let write = move || {
        // Its room is given back with the stream.
        let _stream = stream;
        match (items, dialect) {
            (Some(items), _) => {
                let (_, message) = answer::said(&finish.body);
                Ok(items.whole(message, &finish.reason, &report)?.to_string())
            }
            (None, Dialect::Inference) => Ok(own(&finish, &report)),
            (None, _) => openai(dialect, encoding, &finish, &report),
        }
    };
    let json = if short { write() } else { house.aside(write).await.unwrap_or(Err(Problem::internal())) }?;
    let mut response = ([(header::CONTENT_TYPE, "application/json")], json).into_response();
    name_job(response.headers_mut(), &reader.stream().job.to_string());
    Ok(response)
}

fn own(finish: &Finish, report: &Report) -> String {
    let (text, message) = answer::said(&finish.body);
    report.whole(&text, message, &finish.reason).to_string()
}

/// The server's own JSON, with the job's id, the model's public name and the relay's count, and its vectors as they were
/// asked for.
fn openai(dialect: Dialect, encoding: Encoding, finish: &Finish, report: &Report) -> Result<String, Problem> {
    // A name may be written with escapes.
    let mut fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(&finish.body).map_err(|_| {
        tracing::warn!("an answer that was counted does not parse as an object");
        Problem::internal()
    })?;
    let raw = |value: Value| serde_json::value::to_raw_value(&value).map_err(|_| Problem::internal());
    let mut usage = report.usage();
    if dialect == Dialect::Embedding {
        usage = json!({"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["prompt_tokens"]});
    }
    let (id, model) = (raw(report.id(dialect).into())?, raw(report.model().into())?);
    let (usage, extension) = (raw(usage)?, raw(report.extension())?);
    let created = raw(report.created().into())?;
    if dialect != Dialect::Embedding {
        fields.insert("id".into(), &id);
        fields.insert("created".into(), &created);
    }
    let vectors = fields.get("data").copied().filter(|_| dialect == Dialect::Embedding);
    let vectors = vectors.and_then(|data| vectors::written(data, encoding));
    match &vectors {
        Some(vectors) => drop(fields.insert("data".into(), vectors)),
        // Whoever waits for Base64 would decode whatever there is, and take it for vectors.
        None if encoding == Encoding::Base64 => return Err(unreadable()),
        None => {}
    }
    fields.insert("model".into(), &model);
    fields.insert("usage".into(), &usage);
    fields.insert("rekursing".into(), &extension);
    serde_json::to_string(&fields).map_err(|_| Problem::internal())
}

/// What a model server gave as vectors cannot be read as any. It was charged for like every whole answer.
fn unreadable() -> Problem {
    let message = "the provider's vectors cannot be read";
    Problem { charged: true, ..Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", message) }
}

/// Tells of a job that came to nothing. One that was refused or failed was counted by the desk.
fn problem(ending: Ending) -> Problem {
    match ending {
        Ending::Refused(refusal) => Problem { counted: true, ..refusal.into() },
        Ending::TooLarge(bytes_max) => Problem::answer_too_large(bytes_max),
        Ending::Failed { code, detail, receipt } => {
            Problem { charged: receipt.is_some(), counted: true, ..Problem::failed(code, &detail) }
        }
        Ending::Done(_) => Problem::internal(),
    }
}

fn name_job(headers: &mut HeaderMap, job: &str) {
    if let Ok(job) = HeaderValue::from_str(job) {
        headers.insert("x-rekursing-job", job);
    }
}

#[cfg(test)]
mod tests;
