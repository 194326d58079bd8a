//! A relay of a test's own, with an owner who can have something to be paid out.

use std::sync::Arc;

use rekursing_market::{
    Account,
    ledger::{Cause, Transfer},
};
use rekursing_protocol::PluginId;
use rekursing_relay::{
    chance,
    config::Config,
    house::House,
    relay,
    store::{Location, audit},
};
use rekursing_tests_postgres::Server;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// Makes two tests of each promise: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($promise:ident,)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $promise() {
                super::$promise($crate::case::Engine::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $promise() {
                super::$promise($crate::case::Engine::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// The operator's token.
pub(crate) const TOKEN: &str = "an operator's token";

/// On which database the money is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A relay and a plugin.
pub(crate) struct Case {
    pub(crate) house: Arc<House>,
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) plugin: String,
    pub(crate) secret: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    location: Location,
    _folder: TempDir,
}

impl Case {
    pub(crate) async fn new(engine: Engine, config: &str) -> Case {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::parse(config).unwrap();
        config.data_dir = folder.path().to_owned();
        config.listen.set_port(0);
        config.operator_token_sha256 = Some(chance::hex(&chance::digest(TOKEN)));
        let listener = relay::bind(config.listen).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder_of_data = folder.path().to_owned();
        let (location, house) = aside(move || {
            let location = match engine {
                Engine::Sqlite => Location::Folder(folder_of_data),
                Engine::Postgres => Location::Postgres(Server::shared().unwrap().database().unwrap()),
            };
            config.database = Some(location.clone());
            (location, relay::open(config).unwrap())
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let running = tokio::spawn(relay::run(Arc::clone(&house), listener, None, shutdown));
        let client = Client::new();
        let registered = client.post(format!("{url}/api/plugin/register"));
        let registered = registered.header("content-type", "application/json").body("{}").send().await;
        let registered: Value = serde_json::from_slice(&registered.unwrap().bytes().await.unwrap()).unwrap();
        let text = |field: &str| registered[field].as_str().unwrap().to_owned();
        let (plugin, secret) = (text("pluginId"), text("secret"));
        Case { house, client, url, plugin, secret, stop, running, location, _folder: folder }
    }

    /// Lets the plugin have earned 20 USD.
    pub(crate) async fn earn(&self) {
        let transfer = Transfer {
            cause: Cause::Correction,
            from: Account::Outside,
            to: Account::Owner(self.plugin.parse::<PluginId>().unwrap()),
            amount: "20".parse().unwrap(),
            note: "for a test".to_owned(),
        };
        self.house.desk.transfer("test", transfer).await.unwrap();
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        self.named(method, path, bearer, body, None).await
    }

    /// The same with an `Idempotency-Key`.
    pub(crate) async fn named(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Value,
        name: Option<&str>,
    ) -> (StatusCode, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(bearer);
        let request = name.into_iter().fold(request, |request, name| request.header("idempotency-key", name));
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_string())
        };
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Calls one of the owner's own routes.
    pub(crate) async fn own(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let path = format!("/api/plugin/payouts/{}{path}", self.plugin);
        self.call(method, &path, &self.secret, body).await
    }

    /// Checks the whole book, and ends.
    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
        assert_eq!(aside(|| audit(&self.location).unwrap().wrong), None);
    }
}

/// Does something on a thread of its own: PostgreSQL is not to be waited for on one that serves sockets.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}
