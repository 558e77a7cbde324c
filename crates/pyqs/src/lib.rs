//! Tasks on Amazon SQS for Rust programs: sending, so far.
//!
//! [`Client`] sends messages from async code; [`blocking::Producer`] does the same from any thread
//! of any process, forked ones too, and is what Python's `.delay` stands on. Both know queues by
//! their names, create missing ones, gather what is sent at the same time into batches, and try
//! again what may yet succeed. Neither knows what is in a message.
//!
//! ```no_run
//! # async fn example() -> Result<(), pyqs::ClientError> {
//! use pyqs::{Client, ConnectOptions, Outgoing};
//!
//! let client = Client::connect(&ConnectOptions::default()).await?;
//! let id = client.send("email", Outgoing::new(r#"{"task":"a.b","args":[],"kwargs":{}}"#)).await?;
//! println!("SQS has it as {id}");
//! client.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod blocking;
mod client;

pub use client::{Client, ClientError, ClientSettings, DELAY_MAX, checked};
pub use pyqs_sqs::{AttributeValue, ConnectOptions, Outgoing, QueueUrl};
