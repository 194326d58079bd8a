//! The market's promises, as calls and the effects that follow.

mod asks;
mod attendance;
mod budgets;
mod choosy;
mod continuing;
mod estimates;
mod failover;
pub(crate) mod fixture;
mod free;
mod funding;
mod groups;
mod invariants;
mod matching;
mod money;
mod outlook;
mod plans;
mod premium;
mod pricing;
mod queue;
mod resuming;
mod routing;
