//! What is asked, over which ways.

use super::stage::Way;

/// One kind of load.
pub(crate) struct Load {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// Over which ways it is sent.
    pub(crate) ways: &'static [Way],
    /// Pages at once.
    pages: u32,
    asks: Asks,
}

/// What each page asks for.
enum Asks {
    /// One after the other for three seconds: streams of so many tokens with so many microseconds
    /// between them, 0 for full speed.
    Again { tokens: u32, interval_us: u32 },
    /// One stream of so many tokens at 20 a second, begun at random within so many milliseconds.
    Once { tokens: u32, ramp_ms: u32 },
    /// One after the other for three seconds: whole answers of one token.
    Whole,
}

const EVERY_WAY: &[Way] = &[Way::Direct, Way::Floor, Way::Node, Way::Relay];

/// Every load, in the order of the report.
pub(crate) const LOADS: &[Load] = &[
    Load { name: ONE, ways: EVERY_WAY, pages: 1, asks: Asks::Again { tokens: 20, interval_us: 5_000 } },
    Load { name: FIFTY, ways: EVERY_WAY, pages: 50, asks: Asks::Once { tokens: 100, ramp_ms: 3_000 } },
    Load {
        name: FIVE_HUNDRED,
        ways: EVERY_WAY,
        pages: 500,
        asks: Asks::Once { tokens: 100, ramp_ms: 5_000 },
    },
    Load {
        name: TWO_THOUSAND,
        ways: &[Way::Direct, Way::Node],
        pages: 2_000,
        asks: Asks::Once { tokens: 60, ramp_ms: 5_000 },
    },
    Load {
        name: FULL_SPEED,
        ways: EVERY_WAY,
        pages: 32,
        asks: Asks::Again { tokens: 2_000, interval_us: 0 },
    },
    Load {
        name: SHORT,
        ways: &[Way::Direct, Way::Floor, Way::Node, Way::Crowd],
        pages: 32,
        asks: Asks::Whole,
    },
    Load { name: SETTLED, ways: &[Way::Relay, Way::Postgres], pages: 48, asks: Asks::Whole },
];

pub(crate) const ONE: &str = "1 stream";
pub(crate) const FIFTY: &str = "50 streams";
pub(crate) const FIVE_HUNDRED: &str = "500 streams";
pub(crate) const TWO_THOUSAND: &str = "2,000 streams";
pub(crate) const FULL_SPEED: &str = "32 at full speed";
pub(crate) const SHORT: &str = "short requests";
pub(crate) const SETTLED: &str = "settled jobs";

impl Load {
    /// Returns the arguments of the program `load`.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let asks = match self.asks {
            Asks::Again { tokens, interval_us } => {
                format!("--tokens {tokens} --interval-us {interval_us} --seconds 3")
            }
            Asks::Once { tokens, ramp_ms } => {
                format!("--tokens {tokens} --interval-us 50000 --requests 1 --ramp-ms {ramp_ms}")
            }
            Asks::Whole => "--whole --seconds 3".to_owned(),
        };
        format!("--pages {} {asks}", self.pages).split(' ').map(str::to_owned).collect()
    }

    /// Tells whether its answers are streamed at a pace, so that latency means something.
    pub(crate) fn is_paced(&self) -> bool {
        match self.asks {
            Asks::Again { interval_us, .. } => interval_us > 0,
            Asks::Once { .. } => true,
            Asks::Whole => false,
        }
    }
}
