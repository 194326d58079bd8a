//! Transactions with a base fee and a tip (EIP-1559), and a token's data (ERC-20).

use super::{Address, address::keccak, key::Key, rlp::List};
use crate::hex;

/// The type of these transactions (EIP-2718).
const TYPE: u8 = 2;

/// A transaction that moves no coins, only calls a contract.
pub(super) struct Transaction {
    pub(super) chain: u64,
    pub(super) nonce: u64,
    /// The tip to the block's maker, in wei per gas.
    pub(super) tip: u128,
    /// The most to pay, the tip in it, in wei per gas.
    pub(super) fee: u128,
    /// The most gas to use.
    pub(super) gas: u64,
    /// The contract.
    pub(super) to: Address,
    pub(super) data: Vec<u8>,
}

impl Transaction {
    /// Returns the signed transaction in hex, as nodes take it.
    pub(super) fn sign(&self, key: &Key) -> String {
        let mut list = self.list();
        let (signature, recovery) = key.sign(&keccak(&typed(&list)));
        let (r, s) = (signature.r().to_bytes(), signature.s().to_bytes());
        list.number(u128::from(u8::from(recovery.is_y_odd()))).word(&r).word(&s);
        format!("0x{}", hex::encode(&typed(&list)))
    }

    fn list(&self) -> List {
        let mut list = List::default();
        list.number(u128::from(self.chain))
            .number(u128::from(self.nonce))
            .number(self.tip)
            .number(self.fee)
            .number(u128::from(self.gas))
            .bytes(self.to.bytes())
            .number(0)
            .bytes(&self.data)
            .empty_list();
        list
    }
}

fn typed(list: &List) -> Vec<u8> {
    let mut bytes = vec![TYPE];
    bytes.extend_from_slice(&list.finish());
    bytes
}

/// Returns the hash that a signed transaction in hex is known by; `None` when it is not hex.
pub(super) fn hash_of(signed: &str) -> Option<String> {
    let bytes = signed.strip_prefix("0x").and_then(hex::decode)?;
    Some(format!("0x{}", hex::encode(&keccak(&bytes))))
}

/// Returns the data of a transfer of so many units of a token.
pub(super) fn transfer(to: Address, units: u64) -> Vec<u8> {
    let mut data = selector("transfer(address,uint256)");
    data.extend_from_slice(&to.word());
    data.extend_from_slice(&word_of(units));
    data
}

/// Returns the data that asks a token for a number.
pub(super) fn question(function: &str, of: Option<Address>) -> Vec<u8> {
    let mut data = selector(function);
    data.extend(of.iter().flat_map(Address::word));
    data
}

/// Returns the first topic of the log of an event.
pub(super) fn topic(event: &str) -> String {
    format!("0x{}", hex::encode(&keccak(event.as_bytes())))
}

/// Returns a number as a word of a contract's data or log.
pub(super) fn word_of(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

fn selector(function: &str) -> Vec<u8> {
    keccak(function.as_bytes())[..4].to_vec()
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

    use super::*;
    use crate::Secret;

    /// The first key that development chains publish. It guards nothing.
    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    fn transaction() -> Transaction {
        let to = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
        let data = transfer(to, 1_000_000);
        Transaction { chain: 1, nonce: 0, tip: 1, fee: 1_000_000_000, gas: 60_000, to, data }
    }

    #[test]
    fn the_key_has_the_address_that_is_known_for_it() {
        let key = Key::read(&Secret::new(KEY)).unwrap();
        assert_eq!(key.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert!(Key::read(&Secret::new(format!("0x{KEY}"))).is_some());
        for bad in ["", "00", &KEY[2..], &"0".repeat(64), &"f".repeat(64)] {
            assert!(Key::read(&Secret::new(bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_signature_is_the_same_each_time_and_leads_back_to_the_key() {
        let key = Key::read(&Secret::new(KEY)).unwrap();
        for nonce in 0..20 {
            let transaction = Transaction { nonce, ..transaction() };
            assert_eq!(transaction.sign(&key), transaction.sign(&key));
            let hash = keccak(&typed(&transaction.list()));
            let (signature, recovery): (Signature, RecoveryId) = key.sign(&hash);
            // Chains refuse the upper half of `s` (EIP-2).
            assert_eq!(signature.normalize_s(), signature);
            let recovered = VerifyingKey::recover_from_prehash(&hash, &signature, recovery).unwrap();
            let point = recovered.to_sec1_point(false);
            assert_eq!(Address::of_point(&point.as_bytes()[1..]), key.address());
        }
    }

    #[test]
    fn a_tokens_data_is_as_erc_20_has_it() {
        let to = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
        let data = hex::encode(&transfer(to, 0x0f_42_40));
        assert_eq!(
            data,
            "a9059cbb0000000000000000000000005aaeb6053f3e94c9b9a09f33669435e7ef1beaed\
             00000000000000000000000000000000000000000000000000000000000f4240"
        );
        assert_eq!(hex::encode(&question("decimals()", None)), "313ce567");
        assert_eq!(
            topic("Transfer(address,address,uint256)"),
            "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
        );
    }
}
