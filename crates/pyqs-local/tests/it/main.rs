//! The endpoint through its public API and over real HTTP.

mod durable;
mod errors;
mod http;
mod polls;
mod query;
mod support;
