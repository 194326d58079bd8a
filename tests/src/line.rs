//! The line between a plugin and its relay, in the test's hand: it can be cut, half or whole, now or after so
//! many bytes, taken down and put up again.

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
    /// Whether connections are taken.
    is_up: Mutex<bool>,
    /// Bytes that still pass to the relay before the line is cut.
    left: Mutex<Option<usize>>,
}

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
            is_up: Mutex::new(true),
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
        *lock(&self.control.is_up) = false;
        self.control.cut();
    }

    /// Takes connections again.
    pub fn put_up(&self) {
        *lock(&self.control.is_up) = true;
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
    while let Ok((near, _)) = listener.accept().await {
        if !*lock(&control.is_up) {
            continue;
        }
        let control = Arc::clone(&control);
        connections.spawn(async move {
            // A broken connection is what this is for.
            let _ = connect(near, relay, control).await;
        });
        while connections.try_join_next().is_some() {}
    }
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
