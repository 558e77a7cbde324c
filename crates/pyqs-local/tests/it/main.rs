//! The endpoint through its public API and over real HTTP.

mod access;
mod durable;
mod errors;
mod http;
mod kills;
mod permissions_and_moves;
mod polls;
mod query;
mod support;
