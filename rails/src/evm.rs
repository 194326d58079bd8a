//! USDC on an EVM chain: one signed ERC-20 transfer for each payout.
//!
//! What makes a payout happen once is the nonce in its signed transaction: the chain takes one transaction
//! of an account for each nonce, and the same transaction twice is one. Preparing signs it, with a nonce
//! that no standing order has; submitting sends the very same bytes, however often. After a
//! reorganisation the transaction is pending or gone; gone, it is submitted again. That may happen to one that
//! was confirmed, too: its nonce is nobody else's while it stands.
//!
//! A transaction waits for all with lower nonces, and while the chain's base fee is above what was fixed
//! for it. An order that is closed before it was ever submitted gives its nonce to the next one that is
//! prepared.

mod address;
mod amounts;
mod fate;
mod key;
mod rlp;
mod rpc;
mod transaction;

use std::{fmt, time::Duration};

use rekursing_protocol::{Moment, Nanos};
use serde_json::{Value, json};

use crate::{
    Attempt, BadDestination, BadSetup, Destination, Fate, Later, Method, NotKnown, Order, Prepared, Rail,
    Refusal, Secret, SubmitError, http::clip, refusal::turned_away,
};
pub use address::Address;
use amounts::wei_of;
use key::Key;
use rpc::{Node, Trouble, quantity, quantity_of};
use transaction::{Transaction, hash_of};

/// The decimals of USDC.
const DECIMALS: u128 = 6;

/// How many times the present base fee a transaction may still be mined at. What is not needed is not
/// paid; six full blocks in a row double the base fee.
const BASE_FEE_ROOM: u128 = 4;

/// How a chain is reached, and what may be spent on it.
#[derive(Debug, Clone)]
pub struct UsdcSetup {
    /// The address of a node's JSON-RPC interface. It may hold the operator's key for the node.
    pub url: Secret,
    /// The chain's number: 1 is Ethereum, 8453 Base, 42161 Arbitrum One. A node of another is not used.
    pub chain: u64,
    /// The contract of USDC on that chain. It must have six decimals.
    pub token: Address,
    /// The private key of the address that pays: 32 bytes of hex. [`Secret::read`] reads it from a file.
    pub key: Secret,
    /// How many blocks, its own counted, make a transfer final.
    pub confirmations: u64,
    /// What one whole coin of the chain is worth, to tell the cost of a transfer in dollars.
    pub coin_price: Nanos,
    /// The most that one transfer may cost. While it would cost more, orders are not prepared.
    pub cost_max: Nanos,
    /// How long one request may take.
    pub patience: Duration,
    /// The least amount of a payout.
    pub minimum: Nanos,
}

/// Payouts in USDC.
pub struct Usdc {
    node: Node,
    chain: u64,
    token: Address,
    key: Key,
    confirmations: u64,
    coin_price: Nanos,
    cost_max: Nanos,
    minimum: Nanos,
}

impl Usdc {
    /// Sets the chain up. Nothing is asked of a node yet.
    ///
    /// # Errors
    /// When the address, the key or a number is not one to send money with.
    pub fn new(setup: UsdcSetup) -> Result<Usdc, BadSetup> {
        if setup.confirmations == 0 {
            return Err(BadSetup::Number("a transfer needs at least one confirmation"));
        }
        if setup.coin_price <= Nanos::ZERO || setup.cost_max <= Nanos::ZERO {
            return Err(BadSetup::Number("the price of a coin and the highest cost are above zero"));
        }
        Ok(Usdc {
            node: Node::new(setup.url.show(), setup.patience)?,
            chain: setup.chain,
            token: setup.token,
            key: Key::read(&setup.key).ok_or(BadSetup::Key)?,
            confirmations: setup.confirmations,
            coin_price: setup.coin_price,
            cost_max: setup.cost_max,
            minimum: setup.minimum,
        })
    }

    /// Returns the address that payouts come from.
    pub fn payer(&self) -> Address {
        self.key.address()
    }

    async fn sign(&self, order: &Order, standing: &[Prepared], now: Moment) -> Result<Prepared, Refusal> {
        let units = order.check(Method::Usdc, self.minimum, standing)?;
        // It may have been read without this rail.
        let to = order.destination.text().parse().and_then(|to| self.check(to));
        let to = to.map_err(|bad| Refusal::Destination(bad.to_string()))?;
        self.is_right_chain().await?;
        let decimals = self.constant("decimals()", None).await?;
        if decimals != DECIMALS {
            return Err(Refusal::Rejected(format!("the token has {decimals} decimals")));
        }
        self.has(units).await?;
        let data = transaction::transfer(to, units);
        let gas = self.gas(&data).await?;
        let (fee, tip) = self.fees(gas).await?;
        let nonce = self.nonce(standing).await?;
        let transaction =
            Transaction { chain: self.chain, nonce, tip, fee, gas, to: self.token, data: data.clone() };
        Ok(Prepared::new(order, transaction.sign(&self.key), Some(nonce), now))
    }

    /// Returns the gas of a transfer, with a quarter of room, or why the token does not make it.
    async fn gas(&self, data: &[u8]) -> Result<u64, Refusal> {
        let call = self.call(data);
        let gas = match self.node.ask("eth_estimateGas", json!([call])).await {
            Err(Trouble::Refused { message }) if message.contains("revert") => {
                return Err(Refusal::Destination(clip(&message)));
            }
            answer => quantity(&answer.map_err(Trouble::before)?),
        };
        let gas = gas.and_then(|gas| u64::try_from(gas).ok()).filter(|gas| *gas < 1_000_000);
        gas.map(|gas| gas + gas / 4).ok_or_else(|| unreadable("the gas of a transfer"))
    }

    /// Returns the most to pay for each unit of gas, and the tip in it, in wei.
    async fn fees(&self, gas: u64) -> Result<(u128, u128), Refusal> {
        let block = self.node.ask("eth_getBlockByNumber", json!(["latest", false])).await;
        let block = block.map_err(Trouble::before)?;
        let base = quantity_of(&block, "baseFeePerGas").ok_or_else(|| unreadable("the base fee"))?;
        let tip = self.node.ask("eth_maxPriorityFeePerGas", json!([])).await.map_err(Trouble::before)?;
        let tip = quantity(&tip).ok_or_else(|| unreadable("the tip"))?;
        let affordable = wei_of(self.cost_max, self.coin_price) / u128::from(gas);
        let wanted = base.saturating_mul(BASE_FEE_ROOM).saturating_add(tip);
        // One block can raise the base fee by an eighth.
        if affordable < (base + base / 8).saturating_add(tip) {
            let words = format!("a transfer costs more than {} USD at present", self.cost_max);
            return Err(Refusal::Unavailable(words));
        }
        Ok((wanted.min(affordable), tip))
    }

    /// Returns the lowest nonce that neither the chain nor a standing order has.
    async fn nonce(&self, standing: &[Prepared]) -> Result<u64, Refusal> {
        let used = self.node.ask("eth_getTransactionCount", json!([self.payer().to_string(), "pending"]));
        let used = quantity(&used.await.map_err(Trouble::before)?);
        let used = used.and_then(|used| u64::try_from(used).ok()).ok_or_else(|| unreadable("the nonce"))?;
        let taken = |nonce: &u64| standing.iter().any(|prepared| prepared.nonce == Some(*nonce));
        (used..u64::MAX).find(|nonce| !taken(nonce)).ok_or_else(|| unreadable("the nonce"))
    }

    async fn send(&self, prepared: &Prepared, attempt: Attempt) -> Result<String, SubmitError> {
        prepared.of(Method::Usdc)?;
        let hash = hash_of(&prepared.body).ok_or(Refusal::Foreign)?;
        if attempt == Attempt::First {
            self.is_right_chain().await?;
            let units = Method::Usdc.units(prepared.amount, Nanos::ZERO)?;
            self.has(units).await?;
        }
        let sent = self.node.ask("eth_sendRawTransaction", json!([prepared.body])).await;
        match sent {
            Ok(_) => Ok(hash),
            Err(Trouble::Unreached(words)) => Err(turned_away(Refusal::Unavailable(words), attempt)),
            Err(Trouble::Lost(words)) => Err(NotKnown::Silent(words).into()),
            Err(Trouble::Refused { message }) => self.refused(&hash, &message, attempt).await,
        }
    }

    /// Reads why a node did not take a transaction. Nodes agree on these words, more or less.
    async fn refused(&self, hash: &str, message: &str, attempt: Attempt) -> Result<String, SubmitError> {
        let said = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        let words = clip(message);
        if says(&["already known", "already imported", "known transaction", "already exists"]) {
            return Ok(hash.to_owned());
        }
        if says(&["nonce too low", "nonce is too low"]) {
            let known = self.node.ask("eth_getTransactionByHash", json!([hash])).await;
            let known = known.map_err(|trouble| NotKnown::Silent(trouble.words()))?;
            if !known.is_null() {
                return Ok(hash.to_owned());
            }
            return Err(turned_away(Refusal::Rejected(words), attempt));
        }
        if says(&["insufficient funds"]) {
            return Err(turned_away(Refusal::Insufficient(words), attempt));
        }
        if says(&["underpriced", "fee per gas less than", "fee cap less than", "max fee per gas"]) {
            return Err(turned_away(Refusal::Unavailable(words), attempt));
        }
        Err(NotKnown::Silent(words).into())
    }

    async fn is_right_chain(&self) -> Result<(), Refusal> {
        let chain = self.node.ask("eth_chainId", json!([])).await.map_err(Trouble::before)?;
        if quantity(&chain) != Some(u128::from(self.chain)) {
            return Err(Refusal::Rejected(format!("the node is not of chain {}", self.chain)));
        }
        Ok(())
    }

    /// Checks that the payer has enough of the token, what is on its way taken off.
    async fn has(&self, units: u64) -> Result<(), Refusal> {
        let balance = self.constant("balanceOf(address)", Some(self.payer())).await?;
        if balance < u128::from(units) {
            let words = format!("{} has {balance} units of the token", self.payer());
            return Err(Refusal::Insufficient(words));
        }
        Ok(())
    }

    /// Asks the token for a number.
    async fn constant(&self, function: &str, of: Option<Address>) -> Result<u128, Refusal> {
        let call = self.call(&transaction::question(function, of));
        let answer = self.node.ask("eth_call", json!([call, "pending"])).await.map_err(Trouble::before)?;
        rpc::word(&answer).ok_or_else(|| unreadable(function))
    }

    fn call(&self, data: &[u8]) -> Value {
        let data = format!("0x{}", crate::hex::encode(data));
        json!({ "from": self.payer().to_string(), "to": self.token.to_string(), "data": data })
    }

    fn check(&self, address: Address) -> Result<Address, BadDestination> {
        if address == self.token {
            return Err(BadDestination::Token);
        }
        if address == self.payer() {
            return Err(BadDestination::Payer);
        }
        Ok(address)
    }
}

impl Rail for Usdc {
    fn method(&self) -> Method {
        Method::Usdc
    }

    fn minimum(&self) -> Nanos {
        self.minimum
    }

    fn destination(&self, text: &str) -> Result<Destination, BadDestination> {
        text.parse().and_then(|address| self.check(address)).and_then(Destination::usdc)
    }

    fn prepare<'a>(
        &'a self,
        order: &'a Order,
        standing: &'a [Prepared],
        now: Moment,
    ) -> Later<'a, Result<Prepared, Refusal>> {
        Box::pin(self.sign(order, standing, now))
    }

    fn submit<'a>(
        &'a self,
        prepared: &'a Prepared,
        attempt: Attempt,
        _now: Moment,
    ) -> Later<'a, Result<String, SubmitError>> {
        Box::pin(self.send(prepared, attempt))
    }

    fn look<'a>(
        &'a self,
        prepared: &'a Prepared,
        _name: Option<&'a str>,
        _now: Moment,
    ) -> Later<'a, Result<Fate, NotKnown>> {
        Box::pin(self.find(prepared))
    }
}

impl fmt::Debug for Usdc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usdc")
            .field("node", &self.node)
            .field("chain", &self.chain)
            .field("token", &self.token)
            .field("payer", &self.payer())
            .finish_non_exhaustive()
    }
}

fn unreadable(what: &str) -> Refusal {
    Refusal::Unavailable(format!("{what} does not read"))
}
