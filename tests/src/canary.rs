//! Canaries: sockets on which nobody has any business, on several ports and addresses of this computer. They
//! note whoever knocks.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use crate::eventually;

/// What the test itself says, so that it knows that all that came before was noted.
const MARK: &str = "all that came before was noted";

/// An address of a network that leads nowhere (RFC 5737), by which the system says which address is its own.
const NOWHERE: &str = "192.0.2.1:9";

/// Canaries. Dropping them closes their sockets.
#[derive(Debug)]
pub struct Canaries {
    addresses: Vec<SocketAddr>,
    book: Arc<Mutex<Book>>,
    tasks: JoinSet<()>,
}

/// Who was there, of those that are not forgotten.
#[derive(Debug, Default)]
struct Book {
    knocks: Vec<Knock>,
    many: usize,
}

/// Somebody was there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Knock {
    /// Which one of all, from 0.
    number: usize,
    /// Where, and by which way.
    at: String,
    /// The first that was said; may be nothing.
    said: String,
}

impl Canaries {
    /// Sets canaries, by TCP and UDP: on two ports of `127.0.0.1`, and on one each of `127.0.0.2`, `::1` and an
    /// address in the network, where this computer has one.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub async fn set() -> Result<Canaries> {
        let book = Arc::default();
        let mut canaries = Canaries { addresses: Vec::new(), book, tasks: JoinSet::new() };
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for address in [home, home, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))] {
            canaries.place(address).await?;
        }
        for address in [Some(IpAddr::V6(Ipv6Addr::LOCALHOST)), own_address().await].into_iter().flatten() {
            // Not every computer has them.
            if TcpListener::bind((address, 0)).await.is_ok() {
                canaries.place(address).await?;
            }
        }
        Ok(canaries)
    }

    async fn place(&mut self, address: IpAddr) -> Result<()> {
        let listener = TcpListener::bind((address, 0)).await.context("no port for a canary")?;
        let socket = UdpSocket::bind((address, 0)).await.context("no port for a canary")?;
        let (tcp, udp) = (listener.local_addr()?, socket.local_addr()?);
        self.tasks.spawn(hear_streams(listener, tcp, Arc::clone(&self.book)));
        self.tasks.spawn(hear_packets(socket, udp, Arc::clone(&self.book)));
        self.addresses.extend([tcp, udp]);
        Ok(())
    }

    /// Returns where they sit: TCP and UDP in turn.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns those that can be reached by TCP.
    pub fn streams(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().copied().step_by(2)
    }

    /// Makes sure that nobody has been at any of them.
    ///
    /// # Errors
    /// Fails when somebody was, and tells where and what was said.
    pub async fn are_alone(&self) -> Result<()> {
        for pair in self.addresses.chunks(2) {
            TcpStream::connect(pair[0]).await?.write_all(MARK.as_bytes()).await?;
            let packet = UdpSocket::bind((pair[1].ip(), 0)).await?;
            packet.send_to(MARK.as_bytes(), pair[1]).await?;
        }
        // Whoever came before the test itself stands before it in the queue of the system.
        let look = || async {
            let marks = book(&self.book).knocks.iter().filter(|knock| knock.said == MARK).count();
            Ok((marks >= self.addresses.len()).then_some(()))
        };
        eventually("every canary hears the test", look).await?;
        let mut heard = std::mem::take(&mut book(&self.book).knocks);
        heard.retain(|knock| knock.said != MARK);
        ensure!(heard.is_empty(), "somebody was where he has no business: {heard:?}");
        Ok(())
    }

    /// Waits until a canary has heard this, and forgets all that was heard.
    ///
    /// # Errors
    /// Fails when none does.
    pub async fn hear(&self, words: &str) -> Result<()> {
        let look = || async {
            let heard = book(&self.book).knocks.iter().any(|knock| knock.said.contains(words));
            Ok(heard.then_some(()))
        };
        eventually("a canary hears it", look).await?;
        book(&self.book).knocks.clear();
        Ok(())
    }
}

fn book(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that somebody was there, and returns which one that was.
fn note(noted: &Mutex<Book>, at: String, said: String) -> usize {
    let mut book = book(noted);
    let number = book.many;
    book.many += 1;
    book.knocks.push(Knock { number, at, said });
    number
}

/// Returns the address under which other computers know this one. Nothing is sent for it.
async fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(NOWHERE).await.ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

async fn hear_streams(listener: TcpListener, at: SocketAddr, noted: Arc<Mutex<Book>>) {
    let mut guests = JoinSet::new();
    while let Ok((mut guest, _)) = listener.accept().await {
        // To have come is enough; what is said comes after.
        let number = note(&noted, format!("tcp {at}"), String::new());
        let noted = Arc::clone(&noted);
        guests.spawn(async move {
            let mut bytes = [0; 1_024];
            let count = guest.read(&mut bytes).await.unwrap_or_default();
            let said = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if let Some(knock) = book(&noted).knocks.iter_mut().find(|knock| knock.number == number) {
                knock.said = said;
            }
            // Whoever it is, he is let believe that all is well.
            let _ = guest.write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n").await;
        });
        while guests.try_join_next().is_some() {}
    }
}

async fn hear_packets(socket: UdpSocket, at: SocketAddr, noted: Arc<Mutex<Book>>) {
    let mut bytes = [0; 2_048];
    while let Ok(count) = socket.recv(&mut bytes).await {
        let said = String::from_utf8_lossy(&bytes[..count]).into_owned();
        note(&noted, format!("udp {at}"), said);
    }
}
