//! The consumer of a task queue as a state machine: leases, acknowledgements, fetching,
//! scheduling, failure, stop.
//!
//! [`Consumer`] decides everything that a worker on SQS must decide. It does nothing itself: it
//! takes [`Event`]s and gives [`Action`]s. It knows no message bodies, no receipts, no queue URLs,
//! no Python, no network, no threads, no clock and no log; time and randomness are arguments.
//!
//! # The driver's loop
//!
//! Production and simulation run these same steps; only what carries out an action differs.
//!
//! 1. Gather the events that are there.
//! 2. Read the clock.
//! 3. Hand both to [`Consumer::handle`].
//! 4. Carry out each action, in order. Every request's result comes back as an event.
//! 5. Wait for an event, for [`Consumer::next_wakeup`], or, while a poll is open, for
//!    [`TICK`]; then begin again.
//!
//! A driver decides nothing: an `if` about leases, retries or fairness in a driver belongs here.
//!
//! ```
//! use std::time::Duration;
//! use pyqs_core::{Action, Consumer, Event, Instant, QueueAttributes, QueueId, Settings, Share};
//! use pyqs_core::{ProcessId};
//!
//! let mut consumer = Consumer::new(Settings::default(), 7);
//! let attributes = QueueAttributes {
//!     visibility_timeout: Duration::from_secs(30),
//!     is_fifo: false,
//!     receives_max: None,
//! };
//! let events = [
//!     Event::QueueAdded { queue: QueueId(1), attributes, share: Share::default() },
//!     Event::ProcessReady { process: ProcessId(1), tasks_max: Some(100) },
//! ];
//! for action in consumer.handle(Instant::ORIGIN, events) {
//!     if let Action::Receive { queue, wait, .. } = action {
//!         assert_eq!((queue, wait), (QueueId(1), Duration::from_secs(20)));
//!     }
//! }
//! ```

mod action;
mod consumer;
mod event;
mod message;
mod settings;
mod snapshot;
mod time;

pub use action::{Action, Report};
pub use consumer::Consumer;
pub use event::{BatchReply, EntryReply, Event, Outcome, Trouble};
pub use message::{
    Arrival, GroupId, MessageId, MessageKey, PollId, ProcessId, QueueAttributes, QueueId,
    RequestId, Share, TaskKind, Work,
};
pub use settings::{BATCH_MAX, BUFFER_MESSAGES_MAX, Settings, WAIT_MAX};
pub use snapshot::{Counters, QueueSnapshot, Snapshot};
pub use time::{Instant, TICK};
