//! What the owner's pages want: answers of the relay, asked for by the agent with the plugin's
//! secret or a pass, and a look for model servers before the owner has said yes.
//!
//! A page makes no request and is shown no secret. It can ask for what [`Want::request`] lists and for nothing
//! else. It gets an answer also after the owner has withdrawn the consent, because what was earned
//! until then is still the owner's.

use std::collections::BTreeMap;

use rekursing_protocol::{AccountId, JobId, Moment, Month, PayoutId, PhoneId, PluginId, Span};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Agent, Answer, Ask, AskId, Command, Errand, Method, pass::Bearer};

/// Most answers that pages wait for at once.
const ASKED_MAX: usize = 8;

/// How long the relay may take.
const PATIENCE: Span = Span::secs(15);

/// Longest answer that goes to a page.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Longest text of a page that goes to the relay.
const TEXT_BYTES_MAX: usize = 255;

/// How long servers are looked for after a page has asked for it. A page that is open asks again.
const LOOK_FOR: Span = Span::secs(60);

/// What pages wait for.
#[derive(Debug, Default)]
pub(super) struct Wants {
    asked: BTreeMap<AskId, Asker>,
    /// What waits for a pass.
    waiting: Vec<(Asker, Request)>,
    /// Until when servers are looked for without consent.
    look_until: Option<Moment>,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy)]
struct Asker {
    page: u64,
    /// The page's own number for what it wants.
    want: u64,
}

/// What a page wants, as it says it: `what` is one of the names in [`Want::request`], which says what
/// else belongs to it. A tagged enum would say it better and make the browser's half a tenth larger.
#[derive(Deserialize)]
struct Want {
    /// The page's own number for it.
    id: u64,
    what: String,
    job: Option<JobId>,
    month: Option<Month>,
    csv: Option<bool>,
    method: Option<Text>,
    destination: Option<Text>,
    threshold: Option<Text>,
    schedule: Option<Text>,
    amount: Option<Text>,
    accept: Option<Text>,
    once: Option<Text>,
    payout: Option<PayoutId>,
    input: Option<Text>,
    output: Option<Text>,
    code: Option<Text>,
    phone: Option<PhoneId>,
    member: Option<GroupMember>,
}

/// A short text on one line, as a form's field has it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

/// The id of a plugin or of an account, as the relay has told it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct GroupMember(String);

/// Why nothing was asked or nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denial {
    Busy,
    NotRegistered,
    Unreachable,
}

/// What is sent to the relay for a want.
#[derive(Debug)]
struct Request {
    method: Method,
    path: String,
    body: Option<Value>,
    once: Option<Text>,
}

impl Wants {
    pub(super) fn awaits(&self, id: AskId) -> bool {
        self.asked.contains_key(&id)
    }

    /// Tells whether servers are looked for on behalf of a page.
    pub(super) fn is_looking(&self) -> bool {
        self.look_until.is_some()
    }

    /// Looks on behalf of pages no longer: the owner has said yes, or nobody looks on.
    pub(super) fn stop_looking(&mut self) {
        self.look_until = None;
    }
}

impl Agent {
    /// Takes in what a page wants. What is no want that [`Want::request`] knows has no answer.
    pub(super) fn wanted(&mut self, page: u64, text: &str, now: Moment) {
        let Ok(want) = serde_json::from_str::<Want>(text) else { return };
        let asker = Asker { page, want: want.id };
        let Some(identity) = self.identity() else { return self.deny(asker, Denial::NotRegistered) };
        let Some(request) = want.request(identity.plugin) else { return };
        if self.wants.asked.len() + self.wants.waiting.len() >= ASKED_MAX {
            return self.deny(asker, Denial::Busy);
        }
        match self.bearer(now) {
            Bearer::Ready(bearer) => self.run_errand(asker, request, bearer),
            Bearer::Coming => self.wants.waiting.push((asker, request)),
        }
    }

    /// Sends what has waited for this pass.
    pub(super) fn go_on_errands(&mut self, pass: &str) {
        for (asker, request) in std::mem::take(&mut self.wants.waiting) {
            self.run_errand(asker, request, pass.to_owned());
        }
    }

    /// Tells those who wait for a pass that none comes.
    pub(super) fn deny_errands(&mut self) {
        for (asker, _) in std::mem::take(&mut self.wants.waiting) {
            self.deny(asker, Denial::Unreachable);
        }
    }

    fn run_errand(&mut self, asker: Asker, request: Request, bearer: String) {
        let relay = self.relay.as_ref().map(|relay| relay.http()).unwrap_or_default();
        let id = AskId(self.fresh_id());
        self.wants.asked.insert(id, asker);
        let ask = Ask {
            id,
            url: format!("{relay}{}", request.path),
            bearer: Some(bearer),
            body: request.body.map(|body| body.to_string()),
            timeout: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let once = request.once.map(|Text(once)| once);
        self.commands.push(Command::Errand(Errand { ask, method: request.method, once }));
    }

    /// Passes an answer of the relay on to the page that waits for it.
    pub(super) fn want_answered(&mut self, id: AskId, answer: Answer<'_>) {
        let Some(asker) = self.wants.asked.remove(&id) else { return };
        match answer {
            Answer::Reply { status, body } => self.tell(asker, status, &String::from_utf8_lossy(body)),
            Answer::Failed => self.deny(asker, Denial::Unreachable),
        }
    }

    /// Looks for servers at once and for a while, also without consent.
    pub(super) fn look(&mut self, now: Moment) {
        if !self.config.consent {
            self.wants.look_until = Some(now + LOOK_FOR);
        }
        self.watch.set(&self.config, now);
        self.watch.forgive();
        self.watch.hurry(now);
        self.changed = true;
    }

    /// Does what is due while servers are looked for without consent.
    pub(super) fn advance_look(&mut self, now: Moment) {
        match self.wants.look_until {
            Some(until) if self.up && now < until => self.advance_watch(now),
            Some(_) => self.shut(now),
            None => {}
        }
    }

    /// Returns when [`Agent::advance_look`] has something to do.
    pub(super) fn look_wakes_at(&self) -> Option<Moment> {
        let until = self.wants.look_until?;
        Some(self.watch.wake_at().map_or(until, |at| at.min(until)))
    }

    fn tell(&mut self, asker: Asker, status: u16, body: &str) {
        let text = json!({"type": "got", "id": asker.want, "status": status, "body": body}).to_string();
        self.commands.push(Command::Tell { page: asker.page, text });
    }

    /// Tells a page why there is no answer, in the form of the relay's own errors and with the status 0.
    fn deny(&mut self, asker: Asker, denial: Denial) {
        let (code, message) = match denial {
            Denial::Busy => ("busy", "Too much is asked for at once. Try again in a moment."),
            Denial::NotRegistered => ("not_registered", "The relay does not know this extension yet."),
            Denial::Unreachable => ("relay_unreachable", "The relay cannot be reached."),
        };
        let body = json!({"success": false, "error": {"code": code, "message": message}});
        self.tell(asker, 0, &body.to_string());
    }
}

impl Want {
    /// Returns what to send to the relay: everything that a page can want of it.
    fn request(self, plugin: PluginId) -> Option<Request> {
        let payouts = format!("/api/plugin/payouts/{plugin}");
        let pairing = format!("/api/plugin/pairing/{plugin}");
        let phones = format!("/api/plugin/phones/{plugin}");
        Some(match self.what.as_str() {
            "earnings" => Request::get(format!("/api/plugin/earnings/{plugin}")),
            "disputes" => Request::get(format!("/api/plugin/disputes/{plugin}")),
            "receipt" => Request::get(format!("/api/jobs/{}/receipt", self.job?)),
            "keys" => Request::get("/.well-known/rekursing-receipts".to_owned()),
            "statement" => {
                let query = if self.csv? { "?format=csv" } else { "" };
                Request::get(format!("/api/plugin/statements/{plugin}/{}{query}", self.month?))
            }
            "payouts" => Request::get(payouts),
            "set_method" => {
                let (method, destination, schedule) = (self.method?, self.destination?, self.schedule?);
                let body = json!({
                    "method": method.0, "destination": destination.0, "schedule": schedule.0,
                    "threshold": self.threshold.map(|text| text.0),
                });
                Request { method: Method::Put, body: Some(body), ..Request::get(payouts + "/method") }
            }
            "forget_method" => Request::delete(payouts + "/method"),
            // Without `accept` it only asks what the payout costs.
            "payout" => {
                let body = json!({"amount": self.amount?.0, "accept": self.accept.map(|text| text.0)});
                Request { method: Method::Post, body: Some(body), once: self.once, ..Request::get(payouts) }
            }
            "pairing" => Request::get(pairing),
            "pair" => {
                let body = json!({"code": self.code?.0});
                Request { method: Method::Post, body: Some(body), once: self.once, ..Request::get(pairing) }
            }
            "unpair" => Request::delete(pairing),
            "phones" => Request::get(phones),
            "phone_code" => {
                let path = format!("{phones}/code");
                Request { method: Method::Post, body: Some(json!({})), ..Request::get(path) }
            }
            "forget_phone" => Request::delete(format!("{phones}/{}", self.phone?)),
            "cancel_payout" => Request::delete(format!("{payouts}/{}", self.payout?)),
            _ => return self.of_group(&format!("/api/plugin/group/{plugin}")),
        })
    }

    /// Returns what to send for what a page wants of the owner's group of friends.
    fn of_group(self, group: &str) -> Option<Request> {
        let send = |method, path: String, body| Request { method, body: Some(body), ..Request::get(path) };
        Some(match self.what.as_str() {
            "group" => Request::get(group.to_owned()),
            what @ ("create_group" | "price_group" | "agree_group") => {
                let method = if what == "price_group" { Method::Put } else { Method::Post };
                let path = if what == "agree_group" { format!("{group}/agreed") } else { group.to_owned() };
                send(method, path, json!({"input": self.input?.0, "output": self.output?.0}))
            }
            "put_out" => Request::delete(format!("{group}/members/{}", self.member?.0)),
            "turn_group" => send(Method::Post, format!("{group}/code"), json!({})),
            "join_group" => send(Method::Post, format!("{group}/join"), json!({"code": self.code?.0})),
            "leave_group" => Request::delete(group.to_owned()),
            _ => return None,
        })
    }
}

impl Request {
    fn get(path: String) -> Request {
        Request { method: Method::Get, path, body: None, once: None }
    }

    fn delete(path: String) -> Request {
        Request { method: Method::Delete, ..Request::get(path) }
    }
}

impl TryFrom<String> for GroupMember {
    type Error = &'static str;

    fn try_from(text: String) -> Result<GroupMember, &'static str> {
        if text.parse::<PluginId>().is_err() && text.parse::<AccountId>().is_err() {
            return Err("the id of neither a plugin nor an account");
        }
        Ok(GroupMember(text))
    }
}

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Text, &'static str> {
        if text.len() > TEXT_BYTES_MAX || text.contains(char::is_control) {
            return Err("not a short text on one line");
        }
        Ok(Text(text))
    }
}
