//! The market's promises, as calls and the effects that follow.

mod asks;
mod attendance;
mod budgets;
mod failover;
mod fixture;
mod free;
mod invariants;
mod matching;
mod money;
mod plans;
mod premium;
mod pricing;
mod queue;
