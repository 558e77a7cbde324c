//! SQS itself as a state machine: queues, visibility, FIFO, deduplication, redrive.
//!
//! The broker is what an SQS endpoint decides, without the endpoint: it knows no HTTP, no disk,
//! no clock and no randomness. The time is an argument of every action, and receipt handles and
//! message ids are derived from a seed, so that a simulation replays exactly. What a message
//! carries is the driver's own type ([`Payload`]); the broker asks it only for its size and, on
//! FIFO queues with content-based deduplication, for its fingerprint.
//!
//! ```
//! use pyqs_broker::{Attribute, Broker, NewMessage, Receive, Settings, Timestamp};
//!
//! let now = Timestamp::from_millis(1_000_000);
//! let mut broker = Broker::new(Settings::default());
//! let queue = broker.create_queue(now, "email", &[Attribute::VisibilityTimeout(30)])?;
//! broker.send(now, queue, NewMessage::new("hello"))?;
//!
//! let delivery = broker.receive(now, queue, &Receive::up_to(10))?.remove(0);
//! assert_eq!(delivery.payload, "hello");
//! assert!(broker.receive(now, queue, &Receive::up_to(10))?.is_empty(), "it is in flight");
//! broker.delete(now, queue, &delivery.receipt)?;
//! # Ok::<(), pyqs_broker::Error>(())
//! ```
//!
//! # What a driver does
//!
//! 1. Take a request, read the clock, call the action for it.
//! 2. Call [`Broker::take_woken`]: queues in which something became receivable; try the long
//!    polls that wait there again.
//! 3. When [`Settings::journal`] is on: call [`Broker::take_changes`], make them durable, and
//!    only then answer. [`Broker::restore`] is the way back.
//! 4. Sleep until the next request or [`Broker::next_wakeup`], then call [`Broker::advance`].
//!    A needless call is harmless.
//!
//! Modules in reading order: `broker` (queues), `send`, `receive`, `settle` (what the holder of a
//! receipt handle does), `redrive`, `move_task` (back out of dead-letter queues), `queue`, `line` (what is received next), `fair`, `fifo`, `dedup`,
//! `attempts`, `message`, `attributes`, `receipt`, `change`, `restore`, `error`.

mod attempts;
mod attributes;
mod broker;
mod change;
mod dedup;
mod effects;
mod error;
mod fair;
mod fifo;
mod ids;
mod line;
mod message;
mod move_task;
mod name;
mod queue;
mod receipt;
mod receive;
mod redrive;
mod restore;
mod send;
mod settle;
mod time;

pub use attributes::{
    Attribute, DeduplicationScope, FifoThroughputLimit, QueueAttributes, RedriveAllow,
    RedrivePolicy,
};
pub use broker::{Broker, QueueView, Settings};
pub use change::{Change, MessageRecord, QueueRecord};
pub use error::{Error, Fault};
pub use ids::{MessageId, MessageKey, MoveTaskId, QueueId, SequenceNumber};
pub use message::{
    Delivery, FifoFacts, Message, NewMessage, Payload, Phase, Receive, Sent, State, Traits,
};
pub use move_task::{MoveFailure, MoveStatus, MoveTask};
pub use queue::Counts;
pub use restore::LoadError;
pub use time::Timestamp;

/// Named limits of SQS, each cited where it is enforced.
pub mod limits {
    /// Messages in flight per queue. Beyond it a standard queue answers `OverLimit`, a FIFO
    /// queue returns nothing.
    pub const IN_FLIGHT_MAX: usize = 120_000;
    /// The largest message, and the largest batch in sum, in bytes.
    pub const MESSAGE_BYTES_MAX: u32 = 1_048_576;
    /// Entries of a batch, and messages of one receive.
    pub const BATCH_MAX: u32 = 10;
    /// The longest visibility timeout, in seconds; counted from the receive, extensions included.
    pub const VISIBILITY_SECS_MAX: u32 = 43_200;
    /// The longest delay, in seconds.
    pub const DELAY_SECS_MAX: u32 = 900;
    /// The longest long poll, in seconds.
    pub const WAIT_SECS_MAX: u32 = 20;
    /// How long FIFO deduplication ids and receive attempt ids are remembered, in seconds.
    pub const DEDUPLICATION_SECS: u32 = 300;
    /// Messages a second that a move task moves.
    pub const MOVE_TASK_RATE_MAX: u32 = 500;
    /// Move tasks of a queue that are remembered and listed.
    pub const MOVE_TASKS_LISTED_MAX: usize = 10;
    /// Characters of a queue's name, `.fifo` counted.
    pub const QUEUE_NAME_CHARS_MAX: usize = 80;
}
