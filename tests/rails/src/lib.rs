//! Stand-ins for the ways on which money leaves and comes in, on this machine: servers that speak what
//! PayPal and Stripe document, and a real EVM chain of one's own. What can go wrong on the way of a request
//! goes wrong when it is told to. They know nothing of the product.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

pub mod chain;
mod fault;
pub mod paypal;
pub mod stripe;

use axum::Router;

pub use fault::{Fault, Faults};

/// Serves until the runtime ends, on a port that the system chooses, and returns the address.
async fn serve(router: Router) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
