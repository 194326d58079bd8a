//! Wei and dollars.

use rekursing_protocol::Nanos;

/// Wei in one whole coin.
const COIN: u128 = 1_000_000_000_000_000_000;

/// Returns how many wei an amount buys, rounded down, at a price of dollars per coin above zero.
pub(super) fn wei_of(amount: Nanos, coin_price: Nanos) -> u128 {
    let amount = u128::from(amount.get().unsigned_abs());
    let price = u128::from(coin_price.get().unsigned_abs()).max(1);
    // Below 2⁶³ × 10¹⁸, which 128 bits hold.
    amount * COIN / price
}

/// Returns what wei are worth, rounded up; `None` past what 64 bits hold.
pub(super) fn nanos_of(wei: u128, coin_price: Nanos) -> Option<Nanos> {
    let price = u128::from(coin_price.get().unsigned_abs());
    let nanos = wei.checked_mul(price)?.div_ceil(COIN);
    i64::try_from(nanos).ok().map(Nanos::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wei_and_dollars_are_converted_against_the_operator() {
        let price = "2500".parse::<Nanos>().unwrap();
        // 60,000 gas at 20 gwei are 0.0012 coins.
        let wei = 60_000 * 20_000_000_000;
        assert_eq!(nanos_of(wei, price), Some("3".parse().unwrap()));
        assert_eq!(nanos_of(1, price), Some(Nanos::new(1)));
        assert_eq!(nanos_of(0, price), Some(Nanos::ZERO));
        assert_eq!(nanos_of(u128::MAX, price), None);
        assert_eq!(wei_of("3".parse().unwrap(), price), wei);
        assert_eq!(wei_of(Nanos::new(1), Nanos::new(3)), COIN / 3);
        assert!(wei_of(Nanos::MAX, Nanos::new(1)) > 0);
    }
}
