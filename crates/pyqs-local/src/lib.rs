//! An SQS-compatible endpoint for laptops, tests and single servers.
//!
//! It speaks AWS JSON 1.0 and the Query protocol over HTTP around [`pyqs_broker`], which decides everything that is SQS;
//! this crate brings the clock, the wire, and a store on SQLite. It prints nothing and reads no
//! environment: whoever starts it gives a [`Config`] and says when to stop.
//!
//! ```no_run
//! use pyqs_local::{Config, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), pyqs_local::ServeError> {
//! let server = Server::bind(Config { data: None, ..Config::default() })?;
//! println!("export AWS_ENDPOINT_URL=http://{}", server.local_addr());
//! server.run(std::future::pending()).await
//! # }
//! ```
//!
//! What it guarantees:
//!
//! - What was answered with 200 is there after `kill -9` ([`Sync`] says how much else it
//!   survives): an answer waits for its transaction, which it shares with all that came meanwhile.
//! - A client that goes away during a receive strands no message: what could not be handed over
//!   is visible again. One that would rather not wait ends its receive with another request, and
//!   reads the answer (headers `x-pyqs-poll` and `x-pyqs-end-poll`; every answer has `x-pyqs-ends-polls: yes`).
//! - With keys ([`Access`]) a request does nothing unless its signature is right.
//! - Whatever a client sends gets a 4xx answer, never a panic or a dropped connection.
//!
//! Modules in reading order: `config`, `server`, `connection` (who got what), `tls`, `http` (the way of
//! a request; `http::fault` makes it go wrong where that is asked for), `actions` (one file each), `engine` (the broker, its long polls and its commits),
//! `content` (what a message carries), `attributes`, `address` (URLs and ARNs), `object` (structures in JSON), `policy`, `error`, `store`; `allocator` is for the programs that serve.

mod actions;
mod address;
mod allocator;
mod attributes;
mod config;
mod connection;
mod content;
mod engine;
mod error;
mod http;
mod metrics;
mod object;
mod policy;
mod server;
mod store;
mod tls;

pub use allocator::RecyclingAllocator;
pub use config::{Access, AccessKey, Config, DeadLetter, QueueDeclaration, Secret, Sync, TlsFiles};
pub use http::fault::{FaultError, FaultPlan, FaultRule};
pub use server::{ServeError, Server};
pub use tls::TlsError;
