//! The browser's shell: it runs the agent in the extension's offscreen document.
//!
//! The only module that names web-sys or `chrome`. It decides nothing: it hands the agent what
//! happened and executes its commands. A command is executed in the microtask after the event that
//! caused it; events that are ready in the same moment are handed in first, so that texts that
//! came together leave together and none waits for a later one.

mod body;
mod chrome;
mod device;
mod exchange;
mod fetch;
mod gpu;
mod pages;
mod socket;
mod timer;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use rekursing_protocol::{Moment, earnings::Earnings};
use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::{
    agent::{Agent, Command, Config, Event, FetchId, Notice},
    bridge::server::Kind,
    choices::Zone,
    door::Door,
    estimate::Estimate,
    fence::Fence,
    permission,
    qr::Picture,
    receipt::Verdict,
    settings::{Form, Stored, kept, without_secrets},
};

/// What the agent tells the relay it is.
const NAME: &str = concat!("extension/", env!("CARGO_PKG_VERSION"));

#[wasm_bindgen(start)]
fn begin() {
    console_error_panic_hook::set_once();
}

/// Returns the fence for what storage holds, as JSON: `{"policy": …, "rules": […], "origins": […]}`, the last
/// being Chrome's patterns of the model servers' hosts that need the owner's permission.
#[wasm_bindgen]
pub fn fence(stored: &str, extension: &str) -> String {
    let config = read(stored).config;
    let fence = fence_of(&config);
    let origins: Vec<String> =
        config.servers.iter().filter_map(|server| permission::pattern_of(&server.address)).collect();
    let rules = fence.rules(extension, &[]);
    serde_json::json!({"policy": fence.policy(), "rules": rules, "origins": origins}).to_string()
}

/// Shows the settings of storage as a form, JSON to JSON.
#[wasm_bindgen]
pub fn form(stored: &str) -> String {
    json(&Form::show(&read(stored).config))
}

/// Checks a form, JSON to JSON: `{"config": …, "origins": […], "errors": {…}}`.
#[wasm_bindgen]
pub fn check(form: &str) -> String {
    json(&serde_json::from_str::<Form>(form).unwrap_or_default().check())
}

/// Tells whether a receipt holds against the relay's list of keys, both as JSON texts: `holds`,
/// `broken`, `unknown_key` or `unreadable`.
#[wasm_bindgen]
pub fn verdict(receipt: &str, keys: &str) -> String {
    Verdict::of(receipt, keys).name().to_owned()
}

/// Estimates what is left of the relay's earnings after power, by what storage holds, JSON to JSON: see
/// [`Estimate`]; `null` where the owner has not said what power costs.
#[wasm_bindgen]
pub fn estimate(stored: &str, earnings: &str) -> String {
    let Stored { config, memory, .. } = read(stored);
    let earnings: Option<Earnings> = serde_json::from_str(earnings).ok();
    let estimate =
        config.power.zip(earnings).map(|(power, earnings)| Estimate::of(&power, &memory, &earnings));
    json(&estimate)
}

/// Says how weights are fetched from an address as `URL.href` writes it, as JSON: `{"rule": …, "origin": …}`, the rule
/// being that of the fence's [`Door`] and the origin Chrome's pattern where the owner's permission is needed; or
/// `{"error": …}`, the sentence for the owner.
#[wasm_bindgen]
pub fn door(url: &str, extension: &str) -> String {
    json(&match Door::parse(url) {
        Ok(door) => serde_json::json!({"rule": door.rule(extension), "origin": door.origin()}),
        Err(said) => serde_json::json!({"error": said}),
    })
}

/// Returns a text as a QR code for a path of SVG, as JSON: `{"size": …, "path": …}`, or `null` where it is too long.
#[wasm_bindgen]
pub fn qr(text: &str) -> String {
    json(&Picture::of(text))
}

/// The SHA-256 of bytes that come piece by piece.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Fingerprint(Sha256);

#[wasm_bindgen]
impl Fingerprint {
    /// Begins with nothing.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Fingerprint {
        Fingerprint::default()
    }

    /// Takes in the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns what they came to, in hex digits.
    pub fn end(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns what storage holds as a text for its owner to keep, with secrets or without.
#[wasm_bindgen]
pub fn archive(stored: &str, secrets: bool) -> String {
    let stored: serde_json::Value = serde_json::from_str(stored).unwrap_or_default();
    let archive = if secrets { stored } else { without_secrets(stored) };
    serde_json::to_string_pretty(&archive).expect("maps with text keys always print")
}

/// The agent in its document.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Shell(Rc<Inner>);

#[wasm_bindgen]
impl Shell {
    /// Starts the agent of this extension on what storage holds, with the patterns of hosts for which Chrome
    /// lacks the owner's permission, as a JSON list. The fence must stand. `sign` is that of `device.js`, `browser`
    /// the `answer` of `model.js`.
    pub async fn start(
        stored: String,
        extension: String,
        forbidden: String,
        sign: js_sys::Function,
        browser: js_sys::Function,
    ) -> Shell {
        let Stored { config, identity, memory } = read(&stored);
        let inner = Rc::new(Inner::new(fence_of(&config), extension, sign, browser));
        let gpu = gpu::recognise().await;
        inner.on(Event::Noticed(clock()));
        let shell = Shell(Rc::clone(&inner));
        shell.forbidden(&forbidden);
        inner.on(Event::Started { config, identity, memory: Box::new(memory), gpu });
        shell
    }

    /// Takes in what storage holds after a change. Returns whether the fence no longer fits,
    /// so that the document must be made anew; the agent is stopped then.
    pub fn settings(&self, stored: &str) -> bool {
        let config = read(stored).config;
        if fence_of(&config) != self.0.fence {
            self.0.on(Event::Stopped);
            return true;
        }
        self.0.on(Event::Configured(config));
        false
    }

    /// Takes in what Chrome says of keyboard and mouse: `active`, `idle` or `locked`.
    pub fn input(&self, state: &str) {
        self.0.on(Event::Noticed(match state {
            "idle" => Notice::Idle,
            "locked" => Notice::Locked,
            _ => Notice::Used,
        }));
    }

    /// Takes in for which patterns of hosts Chrome lacks the owner's permission, as a JSON list.
    pub fn forbidden(&self, patterns: &str) {
        let patterns: Vec<String> = serde_json::from_str(patterns).unwrap_or_default();
        self.0.on(Event::Forbidden(&patterns));
    }

    /// Takes in whether the computer runs on its battery.
    pub fn battery(&self, is_used: bool) {
        self.0.on(Event::Noticed(Notice::Battery(is_used)));
    }

    /// Takes in that Chrome has a network again, or another.
    pub fn network(&self) {
        self.0.on(Event::Noticed(Notice::Network));
    }

    /// Takes in that Chrome has a newer version of the extension.
    pub fn update(&self) {
        self.0.on(Event::UpdateWaits);
    }

    /// Returns what the agent has been through, without a word of any prompt or answer.
    pub fn journal(&self) -> String {
        self.0.agent.borrow().journal()
    }

    /// Sends the agent's state to a page of the extension until the page goes.
    pub fn watch(&self, port: chrome::Port) {
        pages::watch(&self.0, port);
    }
}

#[derive(Debug)]
struct Inner {
    agent: RefCell<Agent>,
    fence: Fence,
    extension: String,
    /// What signs with the device key.
    sign: js_sys::Function,
    /// What answers in the place of a model server for the model in the browser.
    browser: js_sys::Function,
    /// The model servers that the fence lets jobs go to.
    found: RefCell<Vec<(String, Kind)>>,
    socket: RefCell<Option<socket::Socket>>,
    fetches: RefCell<BTreeMap<FetchId, Rc<fetch::Fetch>>>,
    pages: pages::Pages,
    timer: timer::Timer,
    /// Commands are going to be executed in this microtask round.
    flushing: Cell<bool>,
}

impl Inner {
    fn new(fence: Fence, extension: String, sign: js_sys::Function, browser: js_sys::Function) -> Inner {
        Inner {
            agent: RefCell::new(Agent::new(NAME, seed())),
            fence,
            extension,
            sign,
            browser,
            found: RefCell::default(),
            socket: RefCell::default(),
            fetches: RefCell::default(),
            pages: pages::Pages::default(),
            timer: timer::Timer::default(),
            flushing: Cell::new(false),
        }
    }

    /// Hands an event to the agent and sees to it that its commands are executed.
    fn on(self: &Rc<Self>, event: Event<'_>) {
        self.agent.borrow_mut().handle(event, now());
        if !self.flushing.replace(true) {
            let inner = Rc::clone(self);
            spawn_local(async move { inner.flush() });
        }
    }

    fn flush(self: &Rc<Self>) {
        self.flushing.set(false);
        let commands: Vec<_> = self.agent.borrow_mut().commands(now()).collect();
        for command in commands {
            self.execute(command);
        }
        if self.socket.borrow().as_ref().is_some_and(socket::Socket::is_stuck) {
            self.on(Event::SocketStuck);
        }
        let wake_at = self.agent.borrow().wake_at();
        self.timer.set(self, wake_at);
    }

    fn execute(self: &Rc<Self>, command: Command) {
        match command {
            Command::OpenSocket { url } => socket::open(self, &url),
            Command::Send(text) => self.socket.borrow().iter().for_each(|socket| socket.send(&text)),
            Command::CloseSocket(code) => {
                self.socket.take().into_iter().for_each(|socket| socket.close(code));
            }
            Command::Ask(ask) => exchange::begin(self, ask),
            Command::Errand(errand) => exchange::begin_errand(self, errand),
            Command::Tell { page, text } => pages::tell(self, page, &text),
            Command::Sign(sign) => device::begin(self, sign),
            Command::Post(post) => fetch::begin(self, post),
            Command::Pause(id) => self.fetch(id, fetch::Fetch::pause),
            Command::Resume(id) => self.fetch(id, fetch::Fetch::resume),
            Command::Abort(id) => {
                self.fetches.borrow_mut().remove(&id).into_iter().for_each(|fetch| fetch.abort());
            }
            Command::Save(identity) => chrome::keep("identity", &json(&identity)),
            Command::Remember(memory) => chrome::keep("memory", &json(&memory)),
            Command::Reload => chrome::reload(),
            Command::Configure(config) => {
                let config = kept(&config).expect("settings always print");
                chrome::keep("config", &config.to_string());
            }
            Command::Rest(pause) => chrome::keep("paused", &json(&pause)),
            Command::Changed => {
                self.open_fence();
                pages::changed(self);
            }
        }
    }

    /// Lets jobs through to the model servers that the agent has found, and to no others.
    fn open_fence(&self) {
        let found = self.agent.borrow().servers();
        if !found.is_empty() && *self.found.borrow() != found {
            let rules = self.fence.rules(&self.extension, &found);
            chrome::fence(&json(&rules));
            self.found.replace(found);
        }
    }

    fn fetch(&self, id: FetchId, change: impl FnOnce(&fetch::Fetch)) {
        if let Some(fetch) = self.fetches.borrow().get(&id) {
            change(fetch);
        }
    }
}

fn read(stored: &str) -> Stored {
    Stored::read(serde_json::from_str(stored).unwrap_or_default())
}

fn fence_of(config: &Config) -> Fence {
    let servers: Vec<String> = config.servers.iter().map(|server| server.address.clone()).collect();
    Fence::new(&config.relay, &servers)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys always print")
}

fn window() -> web_sys::Window {
    web_sys::window().expect("the shell runs in a document")
}

/// Reads the clock that never goes back, as milliseconds since the Unix epoch.
fn now() -> Moment {
    let clock = window().performance().expect("a document has a clock");
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    Moment((clock.time_origin() + clock.now()) as u64)
}

/// Reads the clock on the wall, as milliseconds since the Unix epoch.
fn wall() -> Moment {
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    Moment(js_sys::Date::now() as u64)
}

/// Tells the agent what the wall shows.
fn clock() -> Notice {
    Notice::Clock { wall: wall(), zone: zone() }
}

/// Reads how far local time is ahead of UTC.
fn zone() -> Zone {
    #[expect(clippy::cast_possible_truncation, reason = "at most a day in minutes")]
    Zone::ahead(-js_sys::Date::new_0().get_timezone_offset() as i16)
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the jitter is merely the same for all.
    let _ = window().crypto().and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes));
    u64::from_le_bytes(bytes)
}
