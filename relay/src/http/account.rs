//! A page's account: whose it is, and its monthly statement.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{
        ConnectInfo, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use rekursing_market::Payer;
use rekursing_protocol::AccountId;

use super::{
    Problem, caller,
    statements::{self, Form},
};
use crate::house::House;

/// Finds out whose account a call is about; a visitor has none.
pub(super) async fn of(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<AccountId, Problem> {
    match caller::payer(house, headers, peer).await? {
        Payer::Page(account) => Ok(account),
        Payer::Free { .. } => {
            let message = "this needs the API key of an account";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
        }
    }
}

/// `GET /api/account/statements/{month}`
pub(super) async fn statement(
    State(house): State<Arc<House>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    month: Result<Path<String>, PathRejection>,
    form: Result<Query<Form>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let account = of(&house, &headers, peer).await?;
    let Path(month) = month?;
    let month = statements::month(&house, &month)?;
    let statement = house.desk.store().page_statement(account, month).await;
    let statement = statement.map_err(|error| Problem::unread(&error))?;
    statements::respond(&statement, &account.to_string(), form?.0, &headers)
}
