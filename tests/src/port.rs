//! A port that stays a test's own while nobody listens on it: whoever was killed or ended finds it free again.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

/// A port of this machine that the system gives to nobody else. Whoever is to listen on it sets `SO_REUSEADDR`.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// Bound, and never listened on: on Linux that keeps others away, and not whoever names the port.
    _held: Option<TcpSocket>,
}

impl Port {
    /// Takes one that is free at this address of the machine.
    ///
    /// # Errors
    /// Fails when none is.
    pub fn at(host: IpAddr) -> Result<Port> {
        let hold = || -> std::io::Result<Port> {
            let socket = if host.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(host, 0))?;
            // Elsewhere it would keep everybody away.
            Ok(Port { address: socket.local_addr()?, _held: cfg!(target_os = "linux").then_some(socket) })
        };
        hold().context("no port is free")
    }

    /// Takes the port of an address, which says 0 where any will do.
    ///
    /// # Errors
    /// Fails when that is no address, and when no port is free.
    pub fn of(listen: &str) -> Result<Port> {
        let address: SocketAddr = listen.parse().with_context(|| format!("{listen} is no address"))?;
        if address.port() == 0 { Port::at(address.ip()) } else { Ok(Port { address, _held: None }) }
    }

    /// Returns its address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}
