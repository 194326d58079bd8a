//! The accept loop: deadlines and limits before any route sees a byte.

mod head;
mod stall;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::extract::ConnectInfo;
use dashmap::DashMap;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    house::{House, Places},
    http::{caller, router::Routes},
};
use head::{Heads, Heard};
use stall::Stall;

/// The smallest buffer that hyper takes.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Connections, counted in all and per address.
#[derive(Debug, Default)]
struct Connections {
    all: Places,
    by_address: DashMap<IpAddr, usize>,
}

/// One counted connection. It goes with the socket, also where that becomes a WebSocket.
#[derive(Debug)]
struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

/// Accepts until told to stop, then lets open connections end.
pub async fn serve(
    house: Arc<House>,
    listener: TcpListener,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Arc::new(Connections::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most likely: one that closes makes room.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let place = Place::take(&connections, caller::network(peer.ip()));
        let limits = &house.config.limits;
        if place.is_over(limits.connections, limits.connections_per_address) {
            continue;
        }
        let (house, routes, stop) = (Arc::clone(&house), routes.clone(), stop.clone());
        tokio::spawn(connection(house, stream, place, peer, routes, stop));
    }
}

async fn connection(
    house: Arc<House>,
    stream: TcpStream,
    place: Place,
    peer: SocketAddr,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) {
    let time = &house.config.time;
    // Nagle's algorithm would hold tokens back.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let heard = Heard::default();
    let patience = Duration::from_millis(time.page_stall_ms);
    let (stream, line) = Stall::new(stream, place, heard.clone(), patience);
    let head = Duration::from_millis(time.header_ms);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.call(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(Heads::new(head, Duration::from_millis(time.keep_alive_ms), heard))
        // A token is far smaller than a call to the kernel: one copy and one plain write are cheaper.
        .writev(false)
        .header_read_timeout(head)
        .max_buf_size(house.config.limits.header_bytes.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    // An error here is the other side's leaving or its breach of HTTP; hyper has answered it. It does not
    // see somebody leave while it answers who has sent another request already: the line does.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = line.left() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        _ = connection => {}
        () = line.left() => {}
    }
}

impl Place {
    fn take(connections: &Arc<Connections>, address: IpAddr) -> Place {
        connections.all.enter(usize::MAX);
        *connections.by_address.entry(address).or_default() += 1;
        Place { connections: Arc::clone(connections), address }
    }

    fn is_over(&self, all: usize, per_address: usize) -> bool {
        let here = self.connections.by_address.get(&self.address).map_or(0, |count| *count);
        self.connections.all.taken() > all || here > per_address
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.all.leave();
        if let Some(mut count) = self.connections.by_address.get_mut(&self.address) {
            *count -= 1;
        }
        self.connections.by_address.remove_if(&self.address, |_, count| *count == 0);
    }
}
