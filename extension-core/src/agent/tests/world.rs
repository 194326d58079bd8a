//! A relay and a model server that answer as told, and a clock that is moved by hand.

use std::collections::BTreeMap;

use rekursing_protocol::{JobId, Moment, PluginId, frame::Call};
use serde_json::{Value, json};

use crate::agent::{
    Agent, Answer, Ask, Command, Config, Event, FetchId, Identity, Memory, ModelServer, Post, Proof, Sign,
    State,
};
use crate::bridge::server::IN_BROWSER;

pub(super) const LLAMA_PROPS: &str = include_str!("../../../tests/fixtures/llama-cpp-props.json");
pub(super) const LLAMA_MODELS: &str = include_str!("../../../tests/fixtures/llama-cpp-models.json");
pub(super) const LLAMA_METRICS: &str = include_str!("../../../tests/fixtures/llama-cpp-metrics.txt");
pub(super) const STREAM: &str = include_str!("../../../tests/fixtures/llama-cpp-chat.sse");

pub(super) struct World {
    pub(super) agent: Agent,
    pub(super) now: Moment,
    /// Whether a model server is there, and what `/v1/models` says.
    pub(super) models: Option<String>,
    /// What `/props` says.
    pub(super) props: String,
    /// What `/metrics` says, if anything.
    pub(super) metrics: Option<String>,
    /// How many slots work, if `/slots` says so.
    pub(super) busy_slots: Option<usize>,
    /// What device key the shell keeps, if it can keep one.
    pub(super) key: Option<&'static str>,
    /// Every text that the device key signed.
    pub(super) signed: Vec<String>,
    /// What another server answers in the place of llama.cpp, by path; nothing while it is empty.
    pub(super) instead: BTreeMap<&'static str, (u16, String)>,
    /// What the model in the browser says at `/model`, if there is one.
    pub(super) in_browser: Option<(u16, String)>,
    /// The fetches that were begun at the model in the browser and not looked at yet.
    pub(super) tried: Vec<Post>,
    /// Every address that the model server was asked for.
    pub(super) asked: Vec<String>,
}

pub(super) fn config() -> Config {
    Config {
        relay: "ws://relay:3002".to_owned(),
        servers: vec![ModelServer::at("http://127.0.0.1:8080")],
        slots: 2,
        consent: true,
        ..Config::default()
    }
}

pub(super) fn identity() -> Identity {
    Identity {
        relay: "http://relay:3002".to_owned(),
        plugin: PluginId::from_bits(7),
        secret: Some("shh".to_owned()),
    }
}

impl World {
    pub(super) fn new() -> World {
        let now = Moment(1_000_000);
        World {
            agent: Agent::new("test/1", 42),
            now,
            models: Some(LLAMA_MODELS.to_owned()),
            props: LLAMA_PROPS.to_owned(),
            metrics: None,
            busy_slots: None,
            key: None,
            signed: Vec::new(),
            instead: BTreeMap::new(),
            in_browser: None,
            tried: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// An agent that is registered, connected and ready.
    pub(super) fn ready() -> World {
        World::ready_with(config())
    }

    pub(super) fn ready_with(config: Config) -> World {
        let mut world = World::new();
        world.start(config, Some(identity()));
        world.greet();
        world
    }

    pub(super) fn start(&mut self, config: Config, identity: Option<Identity>) -> Vec<Command> {
        let gpu = crate::gpu::recognise("Apple M2");
        self.on(Event::Started { config, identity, memory: Box::default(), gpu })
    }

    /// Starts an agent that is registered and remembers something.
    pub(super) fn start_with(&mut self, config: Config, memory: Memory) {
        let gpu = crate::gpu::recognise("Apple M2");
        self.on(Event::Started { config, identity: Some(identity()), memory: Box::new(memory), gpu });
    }

    /// Opens the socket and goes through the greeting.
    pub(super) fn greet(&mut self) -> Vec<Command> {
        self.on(Event::SocketOpen);
        let mut commands =
            self.frame(&json!({"hello": {"version": 1, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536}}));
        let session = "ses_00000000000000000000000001";
        commands.extend(self.frame(&json!({"ready": {"session": session}})));
        commands
    }

    /// Hands in an event, lets the model server answer what it is asked, and returns the other commands.
    pub(super) fn on(&mut self, event: Event<'_>) -> Vec<Command> {
        self.agent.handle(event, self.now);
        self.settle()
    }

    pub(super) fn frame(&mut self, frame: &Value) -> Vec<Command> {
        self.on(Event::Frame(&frame.to_string()))
    }

    fn settle(&mut self) -> Vec<Command> {
        let mut commands: Vec<Command> = self.agent.commands(self.now).collect();
        let mut left = Vec::new();
        while !commands.is_empty() {
            for command in std::mem::take(&mut commands) {
                if let Command::Sign(sign) = command {
                    self.sign(sign);
                } else if let Command::Ask(ask) = &command
                    && ask.url.starts_with("http://127.0.0.1")
                    && ask.body.is_none()
                {
                    self.serve(ask);
                } else if let Command::Ask(ask) = &command
                    && ask.url.starts_with(IN_BROWSER)
                {
                    let told = self.in_browser.clone();
                    let answer = told.as_ref().map_or(Answer::Failed, |(status, body)| Answer::Reply {
                        status: *status,
                        body: body.as_bytes(),
                    });
                    self.agent.handle(Event::Answered { id: ask.id, answer }, self.now);
                } else {
                    if let Command::Post(post) = &command
                        && post.url.starts_with(IN_BROWSER)
                    {
                        self.tried.push(post.clone());
                    }
                    left.push(command);
                }
            }
            commands = self.agent.commands(self.now).collect();
        }
        left
    }

    fn sign(&mut self, sign: Sign) {
        self.signed.extend(sign.text.clone());
        let signature = sign.text.map(|text| format!("signed {text}")).unwrap_or_default();
        let proof = self.key.map(|key| Proof { key: key.to_owned(), signature });
        self.agent.handle(Event::Signed { id: sign.id, proof }, self.now);
    }

    fn serve(&mut self, ask: &Ask) {
        self.asked.push(ask.url.clone());
        if !self.instead.is_empty() {
            let path = ask.url.strip_prefix("http://127.0.0.1:8080").unwrap_or_default();
            let (status, body) = self.instead.get(path).cloned().unwrap_or((404, "no".to_owned()));
            let answer = Answer::Reply { status, body: body.as_bytes() };
            return self.agent.handle(Event::Answered { id: ask.id, answer }, self.now);
        }
        let body = match (&self.models, ask.url.strip_prefix("http://127.0.0.1:8080")) {
            (Some(_), Some("/props")) => self.props.clone(),
            (Some(models), Some("/v1/models")) => models.clone(),
            (Some(_), Some("/metrics")) if let Some(metrics) = &self.metrics => metrics.clone(),
            (Some(_), Some("/slots")) if let Some(busy) = self.busy_slots => {
                let slots: Vec<Value> = (0..4).map(|slot| json!({"is_processing": slot < busy})).collect();
                json!(slots).to_string()
            }
            (Some(_), Some(_)) => {
                let answer = Answer::Reply { status: 404, body: b"no" };
                return self.agent.handle(Event::Answered { id: ask.id, answer }, self.now);
            }
            _ => return self.agent.handle(Event::Answered { id: ask.id, answer: Answer::Failed }, self.now),
        };
        let answer = Answer::Reply { status: 200, body: body.as_bytes() };
        self.agent.handle(Event::Answered { id: ask.id, answer }, self.now);
    }

    /// Moves the clock to each moment at which the agent wants to wake, and ends `millis` later.
    pub(super) fn pass(&mut self, millis: u64) -> Vec<Command> {
        let end = Moment(self.now.0 + millis);
        let mut commands = Vec::new();
        while let Some(at) = self.agent.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            commands.extend(self.on(Event::Tick));
        }
        self.now = end;
        commands
    }

    /// Like [`World::pass`], with a relay that acknowledges every heartbeat.
    pub(super) fn pass_acked(&mut self, millis: u64) -> Vec<Command> {
        let end = Moment(self.now.0 + millis);
        let mut commands = Vec::new();
        while let Some(at) = self.agent.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let ticked = self.on(Event::Tick);
            commands.extend(self.acknowledge(&ticked));
            commands.extend(ticked);
        }
        self.now = end;
        commands
    }

    /// Has the relay acknowledge the heartbeats among these.
    pub(super) fn acknowledge(&mut self, commands: &[Command]) -> Vec<Command> {
        let beats = sent(commands).into_iter().filter(|frame| frame.get("heartbeat").is_some());
        beats.flat_map(|beat| self.frame(&json!({"ack": {"n": beat["heartbeat"]["n"]}}))).collect()
    }

    pub(super) fn state(&self) -> State {
        self.agent.state(self.now)
    }

    /// Starts a job and returns its fetch.
    pub(super) fn job(&mut self, number: u128) -> Post {
        let commands = self.frame(&start(number));
        posts(&commands).pop().unwrap_or_else(|| panic!("no fetch in {commands:?}"))
    }

    pub(super) fn head(&mut self, id: FetchId) {
        let commands = self.on(Event::FetchHead { id, status: 200, content_type: "text/event-stream" });
        assert_eq!(commands, []);
    }
}

pub(super) fn job_id(number: u128) -> JobId {
    JobId::from_bits(number)
}

pub(super) fn start(number: u128) -> Value {
    json!({"start": {
        "job": job_id(number), "lease": 1, "call": Call::Chat, "model": "tiny-chat", "stream": true,
        "body": {"messages": [{"role": "user", "content": "the-secret-prompt"}], "temperature": 0},
        "credit": 65_536, "first_token_ms": 30_000, "idle_ms": 10_000, "total_ms": 300_000,
    }})
}

/// Returns the frames that were sent.
pub(super) fn sent(commands: &[Command]) -> Vec<Value> {
    let texts = commands
        .iter()
        .filter_map(|command| if let Command::Send(text) = command { Some(text) } else { None });
    texts.map(|text| serde_json::from_str(text).unwrap()).collect()
}

pub(super) fn posts(commands: &[Command]) -> Vec<Post> {
    let posts = commands
        .iter()
        .filter_map(|command| if let Command::Post(post) = command { Some(post) } else { None });
    posts.cloned().collect()
}

pub(super) fn asks(commands: &[Command]) -> Vec<Ask> {
    let asks =
        commands.iter().filter_map(|command| if let Command::Ask(ask) = command { Some(ask) } else { None });
    asks.cloned().collect()
}
