//! A line between a page and its relay that breaks again and again, at random bytes of what the relay says.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A line that breaks. Dropping it takes it down.
#[derive(Debug)]
pub struct Cuts {
    address: SocketAddr,
    made: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Cuts {
    /// Puts up a line to this address on which no connection lives for longer than so many bytes of the relay's.
    /// The same seed cuts at the same bytes.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub async fn to(relay: SocketAddr, bytes_max: u64, seed: u64) -> Result<Cuts> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the line")?;
        let address = listener.local_addr()?;
        let made: Arc<AtomicUsize> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            relay,
            Plan { bytes_max, state: AtomicU64::new(seed) },
            Arc::clone(&made),
        ));
        Ok(Cuts { address, made, _tasks: tasks })
    }

    /// Returns the URL of its near end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns how often it has broken.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

/// Where to cut.
#[derive(Debug)]
struct Plan {
    bytes_max: u64,
    state: AtomicU64,
}

impl Plan {
    /// Returns behind how many bytes the next connection breaks (SplitMix64).
    fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % (self.bytes_max + 1)
    }
}

async fn accept(listener: TcpListener, relay: SocketAddr, plan: Plan, made: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (bytes, made) = (plan.next(), Arc::clone(&made));
        connections.spawn(async move {
            // Whoever closes a connection that was not cut has his reasons.
            if matches!(pass(near, relay, bytes).await, Ok(Passed::Cut)) {
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Passed {
    /// Here.
    Cut,
    /// At one of its ends.
    Closed,
}

async fn pass(near: TcpStream, relay: SocketAddr, bytes: u64) -> Result<Passed> {
    near.set_nodelay(true)?;
    let far = TcpStream::connect(relay).await?;
    far.set_nodelay(true)?;
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let back = async {
        let (mut left, mut buffer) = (usize::try_from(bytes)?, [0; 4_096]);
        loop {
            let read = far_in.read(&mut buffer).await?;
            if read == 0 {
                return Ok::<_, anyhow::Error>(Passed::Closed);
            }
            near_out.write_all(&buffer[..read.min(left)]).await?;
            if read >= left {
                return Ok(Passed::Cut);
            }
            left -= read;
        }
    };
    let forth = async {
        copy(&mut near_in, &mut far_out).await?;
        Ok(Passed::Closed)
    };
    tokio::select! {
        passed = back => passed,
        passed = forth => passed,
    }
}
