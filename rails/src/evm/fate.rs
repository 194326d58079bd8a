//! What became of a transaction.

use rekursing_protocol::Nanos;
use serde_json::{Value, json};

use super::{
    Trouble, Usdc,
    amounts::nanos_of,
    rpc::{quantity, quantity_of},
    transaction::{hash_of, topic, word_of},
};
use crate::{Address, Fate, Method, NotKnown, Prepared, Refusal, hex};

impl Usdc {
    /// Finds a transaction by its hash, which is the hash of the prepared bytes.
    pub(super) async fn find(&self, prepared: &Prepared) -> Result<Fate, NotKnown> {
        let hash = hash_of(&prepared.body).filter(|_| prepared.of(Method::Usdc).is_ok());
        let hash = hash.ok_or_else(|| NotKnown::Contradiction(Refusal::Foreign.to_string()))?;
        let receipt = self.tell("eth_getTransactionReceipt", json!([hash])).await?;
        if receipt.is_null() {
            self.not_mined(prepared, &hash).await
        } else {
            self.mined(prepared, &hash, &receipt).await
        }
    }

    /// A transaction without a receipt: in the pool, in none, or never to be mined.
    async fn not_mined(&self, prepared: &Prepared, hash: &str) -> Result<Fate, NotKnown> {
        let known = self.tell("eth_getTransactionByHash", json!([hash])).await?;
        if !known.is_null() {
            return Ok(pending("waits for a block"));
        }
        let used = self.tell("eth_getTransactionCount", json!([self.payer().to_string(), "latest"])).await?;
        let used = quantity(&used).ok_or_else(|| unreadable("the nonce"))?;
        let nonce = prepared.nonce.map_or(u128::MAX, u128::from);
        if used > nonce {
            // It may have been mined between the questions.
            let receipt = self.tell("eth_getTransactionReceipt", json!([hash])).await?;
            if !receipt.is_null() {
                return self.mined(prepared, hash, &receipt).await;
            }
            // Either the node lags behind another, or somebody else used the key. Money back to the owner
            // on such grounds could be money paid twice.
            let words = format!("the chain has another transaction in the place ({nonce}) of {hash}");
            return Err(NotKnown::Contradiction(words));
        }
        Ok(Fate::Unknown)
    }

    async fn mined(&self, prepared: &Prepared, hash: &str, receipt: &Value) -> Result<Fate, NotKnown> {
        let number = quantity_of(receipt, "blockNumber").ok_or_else(|| unreadable("the receipt"))?;
        let head = quantity(&self.tell("eth_blockNumber", json!([])).await?);
        let head = head.ok_or_else(|| unreadable("the height of the chain"))?;
        // Asked last: had the chain changed since, it would not be the receipt's.
        let block = self.tell("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await?;
        if block.get("hash").is_none_or(|block| Some(block) != receipt.get("blockHash")) {
            return Ok(pending("its block was replaced by another"));
        }
        let depth = (head + 1).saturating_sub(number);
        if depth < u128::from(self.confirmations) {
            return Ok(pending(&format!("{depth} of {} confirmations", self.confirmations)));
        }
        let cost = self.cost(receipt).ok_or_else(|| unreadable("the cost"))?;
        match quantity_of(receipt, "status") {
            Some(1) if self.has_moved(prepared, receipt) => {
                Ok(Fate::Confirmed { reference: hash.to_owned(), cost })
            }
            Some(1) => Err(NotKnown::Contradiction(format!(
                "{hash} succeeded without the transfer that was ordered"
            ))),
            Some(0) => Ok(Fate::Returned { reason: "The token refused the transfer".to_owned(), cost }),
            _ => Err(unreadable("the receipt")),
        }
    }

    /// Tells whether a receipt has the log of the transfer that was ordered.
    fn has_moved(&self, prepared: &Prepared, receipt: &Value) -> bool {
        let Ok(to) = prepared.destination.parse::<Address>() else { return false };
        let Ok(units) = Method::Usdc.units(prepared.amount, Nanos::ZERO) else { return false };
        let word = |word: [u8; 32]| format!("0x{}", hex::encode(&word));
        let topics =
            json!([topic("Transfer(address,address,uint256)"), word(self.payer().word()), word(to.word())]);
        let logs = receipt.get("logs").and_then(Value::as_array);
        logs.into_iter().flatten().any(|log| {
            let token = log.get("address").and_then(Value::as_str);
            token.is_some_and(|token| token.eq_ignore_ascii_case(&self.token.to_string()))
                && log.get("topics") == Some(&topics)
                && log.get("data") == Some(&json!(word(word_of(units))))
        })
    }

    /// Returns what a transaction cost: its gas, and on a chain above another its share there.
    fn cost(&self, receipt: &Value) -> Option<Nanos> {
        let gas = quantity_of(receipt, "gasUsed")?;
        let below = receipt.get("l1Fee").map_or(Some(0), quantity)?;
        let wei = gas.checked_mul(quantity_of(receipt, "effectiveGasPrice")?)?.checked_add(below)?;
        nanos_of(wei, self.coin_price)
    }

    async fn tell(&self, method: &str, params: Value) -> Result<Value, NotKnown> {
        self.node.ask(method, params).await.map_err(|trouble: Trouble| NotKnown::Silent(trouble.words()))
    }
}

fn pending(note: &str) -> Fate {
    Fate::Pending { note: format!("The transfer is on its way: {note}") }
}

fn unreadable(what: &str) -> NotKnown {
    NotKnown::Silent(format!("{what} does not read"))
}
