//! What can go wrong with a send, by what the caller can do.

use std::sync::Arc;

use pyqs_sqs::{ConnectError, NameError, QueueArgumentError, SqsError};

/// Why a client could not do what it was asked. The text is one line for a person.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The message is larger than the queue takes.
    #[error(
        "the message for queue \"{queue}\" has {size} bytes, the queue takes {limit}; send less, \
         or a reference to where the data is, as pyqs.configure(payload_store=) does by itself"
    )]
    TooLarge {
        /// The queue's name.
        queue: String,
        /// The message's bytes, attributes included.
        size: usize,
        /// The most that the queue takes.
        limit: usize,
    },
    /// The queue is missing, and its name is none that SQS would take for a new one.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// The queue is missing, and may not be created.
    #[error(
        "there is no queue \"{queue}\", and PYQS_CREATE_QUEUES=0 forbids to create it; create it, \
         or correct the name"
    )]
    QueueMissing {
        /// The queue's name.
        queue: String,
    },
    /// FIFO queues take no delay for a single message.
    #[error(
        "queue \"{queue}\" is FIFO and takes no delay for a single message; set DelaySeconds on \
         the queue, or send without delay"
    )]
    FifoDelay {
        /// The queue's name.
        queue: String,
    },
    /// FIFO queues need a message group.
    #[error("queue \"{queue}\" is FIFO: give a message group, within which order is kept")]
    FifoGroup {
        /// The queue's name.
        queue: String,
    },
    /// Only FIFO queues take a deduplication id.
    #[error(
        "queue \"{queue}\" is no FIFO queue, and takes no deduplication id; leave it out, or send to \
         a queue whose name ends in .fifo"
    )]
    DeduplicationNotFifo {
        /// The queue's name.
        queue: String,
    },
    /// SQS takes ten message attributes, those included that a message carries for us.
    #[error(
        "the message for queue \"{queue}\" has {count} message attributes, and SQS takes 10; send \
         fewer headers"
    )]
    TooManyAttributes {
        /// The queue's name.
        queue: String,
        /// How many it has.
        count: usize,
    },
    /// No delay is longer than 366 days, which tells milliseconds and moments from seconds.
    #[error(
        "a delay of {delay_secs} s for queue \"{queue}\" is above the limit of 31622400 s, which \
         is 366 days; give seconds from now"
    )]
    DelayTooLong {
        /// The queue's name.
        queue: String,
        /// What was asked for, in seconds.
        delay_secs: u64,
    },
    /// A delay above SQS's 900 s needs a message attribute, and SQS takes ten.
    #[error(
        "all ten message attributes of the message for queue \"{queue}\" are taken, so it can't \
         carry its delay of {delay_secs} s; send fewer, or delay by 900 s at most"
    )]
    AttributesTaken {
        /// The queue's name.
        queue: String,
        /// What was asked for, in seconds.
        delay_secs: u64,
    },
    /// The caller no longer waits (blocking calls only). A message that was on its way may have
    /// arrived.
    #[error("the send was interrupted; SQS may have the message or not")]
    Interrupted,
    /// The client was shut down before SQS had the message.
    #[error("the client was shut down before SQS answered")]
    ShutDown,
    /// `AWS_MAX_ATTEMPTS` is no number from 1.
    #[error("AWS_MAX_ATTEMPTS is \"{value}\"; set it to a whole number from 1, or unset it")]
    BadMaxAttempts {
        /// What it is.
        value: String,
    },
    /// The runtime for sending could not be made.
    #[error("can't start the thread that sends: {0}")]
    Runtime(Arc<std::io::Error>),
    /// The settings for reaching SQS are wrong.
    #[error(transparent)]
    Connect(#[from] Arc<ConnectError>),
    /// An argument that is to name queues does not.
    #[error(transparent)]
    Argument(#[from] QueueArgumentError),
    /// SQS failed, for good or through all attempts.
    #[error(transparent)]
    Sqs(#[from] SqsError),
}
