//! What can go wrong on the way of a request that moves money.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It is done, and its answer breaks off.
    LostReply,
    /// It is done and never answered.
    NoReply,
    /// It is done and answered with a failure.
    FailedAfter,
    /// It is not done and answered with a failure.
    FailedBefore,
}

/// The faults to come, each for one request.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    /// Lets the next request without a fault of its own fail.
    pub fn add(&self, fault: Fault) {
        self.0.lock().unwrap().push_back(fault);
    }

    /// Does a request's work with the next fault around it.
    pub async fn around(&self, work: impl Future<Output = Response>) -> Response {
        let fault = self.0.lock().unwrap().pop_front();
        let failure = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        match fault {
            None => work.await,
            Some(Fault::FailedBefore) => failure,
            Some(Fault::FailedAfter) => {
                work.await;
                failure
            }
            Some(Fault::NoReply) => {
                work.await;
                std::future::pending().await
            }
            Some(Fault::LostReply) => {
                work.await;
                let broken =
                    futures_util::stream::once(async { Err::<Vec<u8>, _>(io::Error::other("lost")) });
                Body::from_stream(broken).into_response()
            }
        }
    }
}
