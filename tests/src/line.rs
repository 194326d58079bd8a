//! The line between a plugin and its relay, in the test's hand: it can be cut, half or whole, now or after so
//! many bytes, taken down and put up again, or answered by a network that wants its user to sign in.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::script::read_request;

/// A line to a relay. Dropping it cuts it.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    control: Arc<Control>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Control {
    /// What was done to the connections so far; each looks at what has changed since it began.
    done: watch::Sender<Done>,
    /// What becomes of new connections.
    way: Mutex<Way>,
    /// Bytes that still pass to the relay before the line is cut.
    left: Mutex<Option<usize>>,
}

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// They lead to the relay.
    Up,
    /// They are closed.
    Down,
    /// Whatever is asked, a page to sign in at is answered.
    Portal,
}

/// What a network answers in the place of everybody else until its user has signed in.
const PORTAL: &str = "<!doctype html><title>Welcome to our hotel</title><form>Room number</form>";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    cuts: usize,
    severs: usize,
}

impl Line {
    /// Puts up a line to this address.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub async fn to(relay: SocketAddr) -> Result<Line> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the line")?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control {
            done: watch::Sender::default(),
            way: Mutex::new(Way::Up),
            left: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, relay, Arc::clone(&control)));
        Ok(Line { address, control, _tasks: tasks })
    }

    /// Returns the URL of its near end with this scheme: `http` or `ws`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Cuts every connection; new ones are taken at once.
    pub fn cut(&self) {
        self.control.cut();
    }

    /// Cuts every connection once so many more bytes have passed to the relay.
    pub fn cut_after(&self, bytes: usize) {
        *lock(&self.control.left) = Some(bytes);
    }

    /// Cuts the plugin's end of every connection. The relay's stays open, and silent.
    pub fn sever(&self) {
        self.control.done.send_modify(|done| done.severs += 1);
    }

    /// Cuts every connection and takes no new ones.
    pub fn take_down(&self) {
        *lock(&self.control.way) = Way::Down;
        self.control.cut();
    }

    /// Cuts every connection and answers new ones with a page to sign in at, half of them after a redirect.
    pub fn want_sign_in(&self) {
        *lock(&self.control.way) = Way::Portal;
        self.control.cut();
    }

    /// Takes connections again.
    pub fn put_up(&self) {
        *lock(&self.control.way) = Way::Up;
    }
}

impl Control {
    fn cut(&self) {
        self.done.send_modify(|done| done.cuts += 1);
    }

    /// Returns how many of these bytes still pass.
    fn allow(&self, count: usize) -> usize {
        let mut left = lock(&self.left);
        match &mut *left {
            Some(bytes) if *bytes < count => left.take().unwrap_or_default(),
            Some(bytes) => {
                *bytes -= count;
                count
            }
            None => count,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, relay: SocketAddr, control: Arc<Control>) {
    let mut connections = JoinSet::new();
    let mut redirects = false;
    while let Ok((near, _)) = listener.accept().await {
        let way = *lock(&control.way);
        let control = Arc::clone(&control);
        // A broken connection is what this is for.
        match way {
            Way::Up => drop(connections.spawn(async move { drop(connect(near, relay, control).await) })),
            Way::Down => {}
            Way::Portal => {
                redirects = !redirects;
                let status = if redirects { 302 } else { 200 };
                connections.spawn(async move { drop(sign_in(near, status).await) });
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one request as a network does that wants its user to sign in.
async fn sign_in(near: TcpStream, status: u16) -> Result<()> {
    let (mut input, mut output) = near.into_split();
    read_request(&mut input).await?;
    let length = PORTAL.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:9/portal\r\ncontent-type: text/html\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{PORTAL}"
    );
    output.write_all(head.as_bytes()).await?;
    Ok(output.shutdown().await?)
}

/// Passes bytes both ways until an end closes or the line is cut.
async fn connect(near: TcpStream, relay: SocketAddr, control: Arc<Control>) -> Result<()> {
    let mut done = control.done.subscribe();
    let begun = *done.borrow_and_update();
    let far = TcpStream::connect(relay).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let is_severed = tokio::select! {
        passed = pass(&mut near_in, &mut far_out, Some(&control)) => return passed,
        passed = pass(&mut far_in, &mut near_out, None) => return passed,
        done = done.wait_for(|done| *done != begun) => done?.cuts == begun.cuts,
    };
    if is_severed {
        drop((near_in, near_out));
        let mut rest = [0; 1024];
        tokio::select! {
            cut = done.wait_for(|done| done.cuts > begun.cuts) => drop(cut?),
            () = async { while matches!(far_in.read(&mut rest).await, Ok(1..)) {} } => {}
        }
    }
    Ok(())
}

/// Passes bytes on; the way to the relay counts those after which the line is cut.
async fn pass(
    input: &mut OwnedReadHalf,
    output: &mut OwnedWriteHalf,
    counted: Option<&Control>,
) -> Result<()> {
    let mut bytes = [0; 4096];
    loop {
        let count = input.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        let passing = counted.map_or(count, |control| control.allow(count));
        output.write_all(&bytes[..passing]).await?;
        if passing < count {
            counted.into_iter().for_each(Control::cut);
        }
    }
}
