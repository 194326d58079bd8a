//! Requests to one server, within limits.

use std::{fmt, time::Duration};

use reqwest::{Client, RequestBuilder, Url, redirect::Policy};
use serde::de::DeserializeOwned;

/// Most bytes of an answer. The largest, a block's header or a page of transfers, has a few tens of KiB.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Most characters of a server's own words that are passed on.
const WORDS_MAX: usize = 200;

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Why a rail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadSetup {
    /// Not an address, or not `https://` although not on this machine.
    #[error("the address of a rail is https://…, or http://… on this machine")]
    Url,
    /// The HTTP client does not start.
    #[error("the HTTP client does not start")]
    Client(#[source] reqwest::Error),
    /// The key does not read as one.
    #[error("the key is not 32 bytes of hex that make a key of secp256k1")]
    Key,
    /// A number makes no sense.
    #[error("{0}")]
    Number(&'static str),
}

/// One server.
pub(crate) struct Endpoint {
    client: Client,
    base: Url,
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// No connection came about: the request certainly did not arrive.
    Unreached(String),
    /// The request may have arrived.
    Lost(String),
}

impl Endpoint {
    /// Checks an address and makes a client for it, with the time that one request may take.
    pub(crate) fn new(base: &str, patience: Duration) -> Result<Endpoint, BadSetup> {
        let mut base = Url::parse(base).map_err(|_| BadSetup::Url)?;
        let loopback = is_loopback(&base);
        let scheme = base.scheme() == "https" || (base.scheme() == "http" && loopback);
        let plain = base.username().is_empty() && base.password().is_none() && base.fragment().is_none();
        if !scheme || !plain || base.host().is_none() {
            return Err(BadSetup::Url);
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let client = Client::builder()
            .no_proxy()
            .https_only(base.scheme() == "https")
            .redirect(Policy::none())
            .connect_timeout(CONNECT_PATIENCE.min(patience))
            .timeout(patience)
            .user_agent("rekursing")
            .build()
            .map_err(BadSetup::Client)?;
        Ok(Endpoint { client, base })
    }

    /// Begins a `GET` of a path below the address; the path is ours and needs no encoding.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.at(path))
    }

    /// Begins a `POST` to a path below the address.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.at(path))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        if !path.is_empty() {
            url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        }
        if query.is_some() {
            url.set_query(query);
        }
        url
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path and the query of a node's address often hold the operator's key for it.
        write!(f, "Endpoint({}://{})", self.base.scheme(), self.base.authority())
    }
}

/// Sends a request and reads its answer within its limits.
pub(crate) async fn ask(request: RequestBuilder) -> Result<Reply, Silence> {
    let mut response = request.send().await.map_err(silence)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| Silence::Lost(words(&error)))? {
        if body.len() + bytes.len() > BODY_BYTES_MAX {
            return Err(Silence::Lost("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(Reply { status, body })
}

fn silence(error: reqwest::Error) -> Silence {
    let error = error.without_url();
    let unreached = error.is_connect() || error.is_builder();
    if unreached { Silence::Unreached(words(&error)) } else { Silence::Lost(words(&error)) }
}

/// The innermost cause says what happened; what is around it says that a request failed.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    clip(&cause.to_string())
}

impl Reply {
    /// Reads the body as JSON; `None` when it is something else.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Says in short what came, for whoever reads an error.
    pub(crate) fn words(&self) -> String {
        format!("status {}", self.status)
    }
}

impl Silence {
    /// Returns what happened.
    pub(crate) fn words(self) -> String {
        match self {
            Silence::Unreached(words) | Silence::Lost(words) => words,
        }
    }
}

/// Shortens a server's words and takes control characters out of them.
pub(crate) fn clip(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(WORDS_MAX).collect()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, BadSetup> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Endpoint::new(url, Duration::from_secs(1))
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for url in ["https://api.stripe.com", "http://127.0.0.1:8545", "http://[::1]:1/x", "http://localhost"]
        {
            assert!(endpoint(url).is_ok(), "{url}");
        }
        for url in [
            "http://api.stripe.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://user:pass@api.stripe.com",
            "api.stripe.com",
            "",
        ] {
            assert!(matches!(endpoint(url), Err(BadSetup::Url)), "{url}");
        }
    }

    #[test]
    fn a_path_goes_below_the_address_and_the_address_keeps_its_key() {
        let node = endpoint("https://node.example/v3/key?token=t").unwrap();
        assert_eq!(node.at("").as_str(), "https://node.example/v3/key?token=t");
        assert_eq!(format!("{node:?}"), "Endpoint(https://node.example)");
        let api = endpoint("http://127.0.0.1:9/").unwrap();
        assert_eq!(api.at("/v1/a?b=c").as_str(), "http://127.0.0.1:9/v1/a?b=c");
    }
}
