//! The port to Amazon SQS: all that the rest of the project may know of it.
//!
//! Plain types and one trait, [`Sqs`], which the worker, the producer and the commands are written
//! against; and [`AwsSqs`], its adapter on the AWS SDK. No other module, and no other crate, names
//! an `aws_*` crate. Nothing here retries, caches or decides: every failure is handed to the caller
//! as a [`SqsError`], whose variants say what the caller can do.
//!
//! In reading order: [`Sqs`] (module `port`), its values (`queue`, `message`, [`carried`]), its failures
//! (`error`), how to reach it (`options`, `aws`), and what queue names may look like ([`names`],
//! [`pattern`], `argument`).

mod argument;
mod aws;
pub mod carried;
mod error;
mod message;
pub mod names;
mod options;
pub mod pattern;
mod port;
mod queue;

pub use argument::{QueueArgument, QueueArgumentError, Rate, WEIGHT_MAX};
pub use aws::{AwsSqs, CALL_TIMEOUT, ConnectError, RECEIVE_SLACK, connect, region_name};
pub use error::{EntryError, Failure, SqsError};
pub use message::{AttributeValue, Outgoing, Receipt, ReceiveRequest, Received};
pub use names::NameError;
pub use options::ConnectOptions;
pub use pattern::Pattern;
pub use port::{BATCH_ENTRIES_MAX, Sqs};
pub use queue::{MessageCounts, QueueAttributes, QueueUrl};
