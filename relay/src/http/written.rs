//! Written: what anybody may ask for and takes long to write is written once for all who ask within a moment.

use std::sync::Arc;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use rekursing_protocol::Span;

use super::Problem;
use crate::{fresh::Fresh, house::House};

/// For how long what was written is good.
const GOOD: Span = Span::millis(100);

/// More than there are.
const LISTS_MAX: usize = 64;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum List {
    /// `GET /api/llm/models`
    Models,
    /// `GET /v1/models`
    OpenAiModels,
    /// `GET /models`
    ModelsPage,
    /// `GET /api/plugin/stats`
    Stats,
    /// `GET /api/live`
    Live,
    /// `GET /live`, with which leaders: of whom, by what, and over which time.
    LivePage(usize, usize, usize),
}

/// What was written last.
#[derive(Debug)]
pub struct Written(Fresh<List, Bytes>);

impl Default for Written {
    fn default() -> Written {
        Written(Fresh::new(GOOD, LISTS_MAX))
    }
}

impl Written {
    /// Returns what is written, or writes it, beside the threads that serve sockets. Whoever hangs up leaves the writing
    /// to those who wait for it: it is not begun again.
    pub(super) async fn of(
        house: &Arc<House>,
        list: List,
        write: impl FnOnce(&Arc<House>) -> String + Send + 'static,
    ) -> Result<Bytes, Problem> {
        let writing = Arc::clone(house);
        let write = async move {
            let written = tokio::task::spawn_blocking(move || Bytes::from(write(&writing)));
            written.await.map_err(|_| Problem::internal())
        };
        let house = Arc::clone(house);
        let told = tokio::spawn(async move { house.written.0.of(house.desk.now(), list, write).await });
        told.await.map_err(|_| Problem::internal())?.map(|written| Bytes::clone(&written))
    }

    /// Answers with what is written, which is JSON.
    pub(super) fn as_json(written: Bytes) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], written).into_response()
    }
}
