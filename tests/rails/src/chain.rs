//! A local chain that makes a block when it is told to, with a token on it.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use crate::{Faults, serve};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The chain's number.
pub const NUMBER: u64 = 31_337;

/// The first account of development chains. It holds a million of the token.
pub const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// Its key, which they publish.
pub const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// The contract that the first transaction of that account makes.
pub const TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

/// A running chain. Dropping it ends it.
#[derive(Debug)]
pub struct Chain {
    child: Child,
    node: Node,
    /// The address of a node that answers after the chain, with faults in sending transactions.
    pub url: String,
    /// What goes wrong with transactions that are sent to it.
    pub faults: Faults,
    lies: Lies,
}

/// What the node in front says in place of the chain, by method.
type Lies = Arc<Mutex<HashMap<String, Value>>>;

#[derive(Debug, Clone)]
struct Node {
    client: reqwest::Client,
    url: String,
}

impl Chain {
    /// Starts one whose first account has a coin and a million of the token.
    ///
    /// # Panics
    /// Where there is no Anvil, and wherever it does not do as it is told.
    pub async fn start() -> Chain {
        let mut child = Command::new(program())
            .args(["--port", "0", "--no-mining", "--accounts", "1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("Anvil starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, receive) = mpsc::channel();
        // What it says is read to the end: nobody reading would stop it.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    let _ = send.send(format!("http://{address}"));
                }
            }
        });
        let url = receive.recv_timeout(PATIENCE).expect("Anvil says where it listens");
        let (faults, lies) = (Faults::default(), Lies::default());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let node = Node { client: reqwest::Client::builder().no_proxy().build().unwrap(), url };
        let router = Router::new().route("/{*key}", post(forward)).with_state((
            node.clone(),
            faults.clone(),
            lies.clone(),
        ));
        let front = format!("{}/v3/the-nodes-key", serve(router).await);
        let chain = Chain { child, node, url: front, faults, lies };
        chain.deploy().await;
        chain
    }

    async fn deploy(&self) {
        let code = include_str!("coin.hex").split_whitespace().collect::<String>();
        let hash = self.send(&json!({ "from": PAYER, "data": format!("0x{code}") })).await;
        self.mine(1).await;
        let receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["contractAddress"], TOKEN.to_ascii_lowercase());
    }

    /// Calls a method of the node and returns its result.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let answer =
            self.node.ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Sends a transaction that the node signs, and returns its hash.
    pub async fn send(&self, transaction: &Value) -> Value {
        self.ask("eth_sendTransaction", json!([transaction])).await
    }

    /// Lets the node in front answer a method with something else than the chain.
    pub fn lie(&self, method: &str, result: Value) {
        self.lies.lock().unwrap().insert(method.to_owned(), result);
    }

    /// Makes blocks.
    pub async fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// Returns how many units of the token an address has.
    pub async fn balance(&self, of: &str) -> u64 {
        let data = format!("0x70a08231{:0>64}", &of.to_ascii_lowercase()[2..]);
        let balance = self.ask("eth_call", json!([{ "to": TOKEN, "data": data }, "latest"])).await;
        u64::from_str_radix(&balance.as_str().unwrap()[2..], 16).unwrap()
    }

    /// Lets the token refuse transfers to an address, without a transaction.
    pub async fn block(&self, who: &str) {
        // Where a map in the second slot keeps a key: the hash of the key and the slot.
        let key = format!("0x{:0>64}{:064x}", &who.to_ascii_lowercase()[2..], 1);
        let slot = self.ask("web3_sha3", json!([key])).await;
        self.ask("anvil_setStorageAt", json!([TOKEN, slot, format!("0x{:064x}", 1)])).await;
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    async fn ask(&self, body: &Value) -> Value {
        let request = self.client.post(&self.url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

async fn forward(
    State((node, faults, lies)): State<(Node, Faults, Lies)>,
    Json(body): Json<Value>,
) -> Response {
    let method = body["method"].as_str().unwrap();
    if let Some(lie) = lies.lock().unwrap().get(method) {
        return Json(json!({ "jsonrpc": "2.0", "id": body["id"], "result": lie })).into_response();
    }
    let work = async { Json(node.ask(&body).await).into_response() };
    if method == "eth_sendRawTransaction" { faults.around(work).await } else { work.await }
}

fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let packages = root.join(".rekursing/anvil/node_modules/@foundry-rs");
    let packages = fs::read_dir(packages).into_iter().flatten().filter_map(Result::ok);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("anvil")).collect::<Vec<_>>();
    let mut programs = packages.map(|package| package.path().join("bin/anvil")).chain(installed);
    programs.find(|program| program.is_file()).expect("there is no Anvil: run `cargo xtask setup`")
}
