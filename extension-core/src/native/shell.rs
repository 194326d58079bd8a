//! Runs one agent: waits for what happens, hands it in, executes the commands.

use std::{collections::HashMap, io::Write, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use futures_util::FutureExt;
use rekursing_protocol::Gpu;
use tokio::sync::{mpsc, watch};

use super::{
    clock::Clock,
    exchange::{Answered, Exchanges, Whole},
    fetch::Fetch,
    keep::Keep,
    socket::{LOST, Socket, Turn},
};
use crate::{
    agent::{Agent, Answer, AskId, Command, Config, Event, FetchId, Notice, Phase, State},
    choices::Zone,
};

/// What the agent tells the relay it is.
const NAME: &str = concat!("node/", env!("CARGO_PKG_VERSION"));

/// What may wait in the inbox. Fetches that find it full read no further.
const INBOX_MAX: usize = 256;

/// Most happenings that are handed in before commands are executed, so that a flood cannot hold
/// the first of them back.
const TOGETHER_MAX: usize = 512;

/// What tasks beside the agent's own report.
#[derive(Debug)]
pub(super) enum Happening {
    Opened { number: u64, socket: Option<Box<Socket>> },
    Answered { id: AskId, answered: Answered },
    Unsigned { id: AskId },
    FetchHead { id: FetchId, status: u16, content_type: String },
    FetchBytes { id: FetchId, pieces: Vec<Bytes> },
    FetchEnd { id: FetchId },
    FetchFailed { id: FetchId },
}

/// One agent and what it holds.
pub(super) struct Shell {
    agent: Agent,
    client: reqwest::Client,
    exchanges: Exchanges,
    keep: Arc<Keep>,
    clock: Clock,
    socket: Option<Socket>,
    /// Counts the sockets, so that one that opens too late is known as such.
    sockets: u64,
    fetches: HashMap<FetchId, Fetch>,
    inbox: mpsc::Receiver<Happening>,
    sender: mpsc::Sender<Happening>,
    /// One of many: it prints less and goes on when the relay stops it.
    is_one_of_many: bool,
    printed: Option<String>,
    announced: bool,
    /// The state has changed and nobody has looked at it yet.
    unseen: bool,
}

impl Shell {
    pub(super) fn new(
        client: reqwest::Client,
        exchanges: Exchanges,
        keep: Arc<Keep>,
        clock: Clock,
        is_one_of_many: bool,
    ) -> anyhow::Result<Shell> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        Ok(Shell {
            agent: Agent::new(NAME, u64::from_le_bytes(seed)),
            client,
            exchanges,
            keep,
            clock,
            socket: None,
            sockets: 0,
            fetches: HashMap::new(),
            inbox,
            sender,
            is_one_of_many,
            printed: None,
            announced: false,
            unseen: false,
        })
    }

    /// Runs until `stop` is true, or the relay says not to come back.
    pub(super) async fn run(
        mut self,
        config: Config,
        gpu: Gpu,
        mut stop: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let identity = self.keep.read()?;
        self.handle(Event::Started { config, identity, memory: Box::default(), gpu });
        self.execute().await?;
        loop {
            if self.socket.as_ref().is_some_and(Socket::is_stuck) {
                self.handle(Event::SocketStuck);
                self.execute().await?;
            }
            let alarm = self.agent.wake_at().map(|at| self.clock.instant(at));
            let clogged = self.is_clogged();
            tokio::select! {
                biased;
                // Without its sender nobody can stop the agent any more.
                _ = stop.wait_for(|stop| *stop) => break,
                turn = turn(&mut self.socket) => self.turned(turn),
                Some(happening) = self.inbox.recv(), if !clogged => self.happened(happening),
                () = sleep_until(alarm) => self.ring(),
                // The state is looked at when nothing else is to be done: no job waits for a status line.
                () = tokio::task::yield_now(), if self.unseen => self.look()?,
            }
            self.take_ready();
            self.execute().await?;
        }
        self.handle(Event::Stopped);
        self.execute().await
    }

    /// Tells whether so much waits to leave that the inbox has to wait, and with it who fills it.
    fn is_clogged(&self) -> bool {
        self.socket.as_ref().is_some_and(Socket::is_clogged)
    }

    /// Hands in all that is ready already.
    fn take_ready(&mut self) {
        let clogged = self.is_clogged();
        for _ in 0..TOGETHER_MAX {
            let frame = self.socket.as_mut().and_then(|socket| socket.turn().now_or_never());
            let happening = if clogged { None } else { self.inbox.try_recv().ok() };
            match (frame, happening) {
                (None, None) => return,
                (frame, happening) => {
                    frame.into_iter().for_each(|turn| self.turned(turn));
                    happening.into_iter().for_each(|happening| self.happened(happening));
                }
            }
        }
    }

    /// Wakes the agent. The computer may have slept, or its clock been set.
    fn ring(&mut self) {
        self.handle(Event::Noticed(Notice::Clock { wall: Clock::wall(), zone: Zone::default() }));
        self.handle(Event::Tick);
    }

    fn handle(&mut self, event: Event<'_>) {
        self.agent.handle(event, self.clock.now());
    }

    fn turned(&mut self, turn: Turn) {
        match turn {
            Turn::Frame(text) => self.handle(Event::Frame(&text)),
            Turn::Flushed => {}
            Turn::Closed(code) => {
                self.socket = None;
                self.handle(Event::SocketClosed { code });
            }
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Opened { number, .. } if number != self.sockets => {}
            Happening::Opened { socket: None, .. } => self.handle(Event::SocketClosed { code: LOST }),
            Happening::Opened { socket: Some(socket), .. } => {
                self.socket = Some(*socket);
                self.handle(Event::SocketOpen);
            }
            Happening::Answered { id, answered } => {
                if let Some(at) = answered.as_ref().and_then(|answered| answered.date) {
                    self.handle(Event::Dated { id, at });
                }
                let answer = match &answered {
                    Some(Whole { status, body, .. }) => Answer::Reply { status: *status, body },
                    None => Answer::Failed,
                };
                self.handle(Event::Answered { id, answer });
            }
            Happening::Unsigned { id } => self.handle(Event::Signed { id, proof: None }),
            Happening::FetchHead { id, status, content_type } => {
                self.handle(Event::FetchHead { id, status, content_type: &content_type });
            }
            Happening::FetchBytes { id, pieces } => {
                for bytes in &pieces {
                    self.handle(Event::FetchBytes { id, bytes });
                }
            }
            Happening::FetchEnd { id } => {
                self.fetches.remove(&id);
                self.handle(Event::FetchEnd { id });
            }
            Happening::FetchFailed { id } => {
                self.fetches.remove(&id);
                self.handle(Event::FetchFailed { id });
            }
        }
    }

    /// Executes the agent's commands, then lets everything leave that can.
    async fn execute(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let mut farewell = None;
        for command in self.agent.commands(now) {
            match command {
                Command::Send(text) => {
                    if let Some(socket) = &mut self.socket {
                        socket.send(text);
                    }
                }
                Command::OpenSocket { url } => {
                    self.sockets += 1;
                    open(url, self.sockets, self.sender.clone());
                }
                Command::CloseSocket(code) => {
                    // Also one that is still being opened.
                    self.sockets += 1;
                    farewell = self.socket.take().map(|socket| socket.close(code));
                }
                Command::Ask(ask) => {
                    let (exchanges, sender) = (self.exchanges.clone(), self.sender.clone());
                    tokio::spawn(async move {
                        let id = ask.id;
                        let answered = exchanges.ask(ask).await;
                        // Without an inbox the agent is gone.
                        let _ = sender.send(Happening::Answered { id, answered }).await;
                    });
                }
                // A node keeps its secret.
                Command::Sign(sign) => {
                    let sender = self.sender.clone();
                    tokio::spawn(async move { sender.send(Happening::Unsigned { id: sign.id }).await });
                }
                Command::Post(post) => {
                    let id = post.id;
                    self.fetches.insert(id, Fetch::begin(self.client.clone(), post, self.sender.clone()));
                }
                Command::Pause(id) => self.fetches.get(&id).into_iter().for_each(Fetch::pause),
                Command::Resume(id) => self.fetches.get(&id).into_iter().for_each(Fetch::resume),
                Command::Abort(id) => drop(self.fetches.remove(&id)),
                Command::Save(identity) => {
                    self.keep.write(&identity).context("could not keep the identity")?;
                }
                // No flag limits tokens or asks for the cost of power, so nothing is counted.
                Command::Remember(_) => {}
                Command::Changed => self.unseen = true,
                // Pages want things and take prices, and none looks on here. What a phone wishes holds until the
                // program ends.
                Command::Errand(_)
                | Command::Tell { .. }
                | Command::Reload
                | Command::Configure(_)
                | Command::Rest(_) => {}
            }
        }
        if let Some(farewell) = farewell {
            farewell.await;
        }
        // What cannot leave at once leaves with the next turn.
        let turn = self.socket.as_mut().and_then(|socket| socket.push_now());
        turn.into_iter().for_each(|turn| self.turned(turn));
        Ok(())
    }

    /// Says how the agent stands, and fails when it has stopped for good.
    fn look(&mut self) -> anyhow::Result<()> {
        self.unseen = false;
        let state = self.agent.state(self.clock.now());
        self.print(&state);
        match self.stopped_for(&state) {
            Some(reason) => anyhow::bail!("{reason}"),
            None => Ok(()),
        }
    }

    /// Returns the sentence with which the agent stopped for good.
    fn stopped_for<'s>(&self, state: &'s State) -> Option<&'s str> {
        let stopped = state.connection.phase == Phase::Off && !self.is_one_of_many;
        state.connection.reason.as_ref().filter(|_| stopped).map(|reason| reason.text.as_str())
    }

    /// Prints a status line when it is another than the last, and the id when jobs can come.
    fn print(&mut self, state: &State) {
        let line = line(state);
        if self.printed.as_ref() != Some(&line) {
            if self.is_one_of_many {
                tracing::debug!("{line}");
            } else {
                tracing::info!("{line}");
            }
            self.printed = Some(line);
        }
        let is_ready = state.connection.phase == Phase::Ready;
        if is_ready
            && !self.announced
            && let Some(plugin) = state.plugin
        {
            // Whoever started the agent may have closed the pipe; that is no reason to stop.
            let _ = writeln!(std::io::stdout().lock(), "READY {plugin}");
        }
        self.announced = is_ready;
    }
}

/// Writes the state as one line.
fn line(state: &State) -> String {
    let phase = match state.connection.phase {
        Phase::Off => "off",
        Phase::Preparing => "preparing",
        Phase::Connecting => "connecting",
        Phase::Ready => "ready",
        Phase::Waiting => "waiting",
    };
    let models: Vec<&str> = state.models.iter().map(|model| model.model.as_str()).collect();
    let address = state.server.address.as_deref().unwrap_or("no server");
    let earned = state.earnings.as_ref().map(|earnings| format!(", earned ${}", earnings.total));
    let reason = state.connection.reason.as_ref().map(|reason| format!(": {}", reason.text));
    format!(
        "{phase}, {address} [{}], {} jobs{}{}",
        models.join(", "),
        state.jobs.len(),
        earned.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}

/// Opens a socket beside the agent.
fn open(url: String, number: u64, sender: mpsc::Sender<Happening>) {
    tokio::spawn(async move {
        let socket = Socket::open(&url).await;
        if let Err(error) = &socket {
            tracing::debug!("{error:#}");
        }
        // Without an inbox the agent is gone.
        let _ = sender.send(Happening::Opened { number, socket: socket.ok().map(Box::new) }).await;
    });
}

/// Waits for the socket, forever when there is none.
async fn turn(socket: &mut Option<Socket>) -> Turn {
    match socket {
        Some(socket) => socket.turn().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
