//! The rails: the ways on which money leaves to owners and comes in from pages.
//!
//! - [`Rail`] is what every way out has in common, with its guarantees: an [`Order`] is prepared into
//!   bytes, stored, submitted any number of times with the effect of once, and looked for until its
//!   [`Fate`] is known.
//! - [`Paypal`], [`Stripe`] and (feature `evm`) [`Usdc`] are the ways.
//! - [`checkout`] opens Stripe's payment page for a top-up, [`webhook`] reads what Stripe reports of it.
//!
//! This crate knows no ledger, no owner and no clock: time is an argument, and the caller keeps what has
//! to survive. It opens sockets to the addresses that it is set up with, and to no other. The program
//! must have installed a crypto provider of `rustls` before it sets up a rail.

pub mod checkout;
mod destination;
#[cfg(feature = "evm")]
mod evm;
mod hex;
mod http;
mod method;
mod paypal;
mod prepared;
mod rail;
mod refusal;
mod secret;
mod stripe;
pub mod webhook;

pub use destination::{BadDestination, Destination};
#[cfg(feature = "evm")]
pub use evm::{Address, Usdc, UsdcSetup};
pub use http::BadSetup;
pub use method::{BadMethod, Method};
pub use paypal::{Paypal, PaypalSetup};
pub use prepared::{BadPrepared, Prepared};
pub use rail::{Attempt, Fate, Later, Order, Rail};
pub use refusal::{NotKnown, Refusal, SubmitError};
pub use secret::{BadSecret, Secret};
pub use stripe::{Stripe, StripeSetup};
