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
//!    [`limits::TICK`]; then begin again.
//!
//! A driver decides nothing: an `if` about leases, retries or fairness in a driver belongs here.
//! It gives each delivery a [`MessageKey`], keeps body and receipt by it, and drops both at
//! [`Action::Forget`]. It ticks also while it waits, because how long a lease can already have run
//! is judged from the last call before a reply was seen.
//!
//! ```
//! use std::time::Duration;
//! use pyqs_core::{Action, Consumer, Event, Instant, Outcome, ProcessId, QueueAttributes, QueueId};
//! use pyqs_core::{Arrival, MessageKey, Settings, Share, TaskKind, Work};
//!
//! let mut consumer = Consumer::new(Settings::default(), 7);
//! let attributes = QueueAttributes {
//!     visibility_timeout: Duration::from_secs(30),
//!     is_fifo: false,
//!     receives_max: None,
//! };
//! let (queue, process) = (QueueId(1), ProcessId(1));
//! let mut events = vec![
//!     Event::QueueAdded { queue, attributes, share: Share::default() },
//!     Event::ProcessReady { process, tasks_max: Some(100) },
//! ];
//! let mut deleted = Vec::new();
//! for millis in 0..3 {
//!     let now = Instant::ORIGIN + Duration::from_millis(millis);
//!     for action in consumer.handle(now, std::mem::take(&mut events)) {
//!         match action {
//!             // A real driver asks SQS; here a message is there at once.
//!             Action::Receive { poll, .. } if deleted.is_empty() && millis == 0 => {
//!                 let (key, id) = (MessageKey(1), "5f0c".into());
//!                 let work = Work::Task(TaskKind(0));
//!                 let message = Arrival::new(key, id, work);
//!                 events.push(Event::Received { poll, messages: vec![message] });
//!             }
//!             Action::Dispatch { message, .. } => {
//!                 let (outcome, took) = (Outcome::Succeeded, Duration::from_micros(20));
//!                 events.push(Event::TaskEnded { message, outcome, took });
//!             }
//!             Action::Delete { messages, .. } => deleted.extend(messages),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(deleted, [MessageKey(1)]);
//! ```
//!
//! # What it holds
//!
//! However many messages wait, the core knows at most [`limits::BUFFER_MESSAGES_MAX`], or
//! [`limits::BUFFER_BYTES_MAX`] of them, and a batch a queue that have not started, [`limits::PIPELINE_MAX`] a process that have, and for each queue
//! [`limits::UNCONFIRMED_MAX`] and what its open receives bring that wait for SQS to confirm a
//! delete or a release. Besides, the ids of twice [`limits::REMEMBERED_MIN`] successes and the pace
//! of [`limits::KINDS_MAX`] kinds of tasks are remembered.
//!
//! # The modules, in reading order
//!
//! What goes in and out: `event`, `action`, `message`, `settings`, `snapshot`, `time`. Each of the
//! rest is a type with a job: `lease` (how long a message is ours), `line` (what waits to be
//! started, and message groups' locks), `pool` (processes and what they were given), `schedule`
//! (shares and paces), `limiter` (limits of tasks), `fetch` (receives), `ack` (requests that carry ten), `memory` (what
//! is done with), `retry` (back-off), `trouble` (what is worth telling), `deadlines` (all moments
//! in one order), `stop`, and `queue`,
//! which holds one queue's part of them. `consumer` joins them: its submodules are what comes in
//! (`intake`, `dispatching`, `limiting`, `replies`, `adopting`), what becomes of a message (`outcomes`, `forwarding`), and
//! what is done about it (`upkeep`, `fetching`, `ending`, `stopping`).
//!
//! Every rule has its properties in `tests/`, one file a group, and all of them together run in
//! the simulated world of `tests/sim`.

mod ack;
mod action;
mod consumer;
mod deadlines;
mod event;
mod fetch;
mod lease;
mod limiter;
mod line;
mod memory;
mod message;
mod pool;
mod queue;
mod retry;
mod schedule;
mod settings;
mod snapshot;
mod stop;
mod time;
mod trouble;

pub use action::{Action, Ending, Onward, Report};
pub use consumer::Consumer;
pub use event::{BatchReply, EntryReply, Event, Outcome, Trouble};
pub use limiter::TaskLimits;
pub use message::{
    Arrival, Gather, GroupId, MessageId, MessageKey, PollId, ProcessId, QueueAttributes, QueueId,
    RateLimit, RequestId, Share, TaskKind, Work,
};
pub use settings::Settings;
pub use snapshot::{Counters, QueueSnapshot, Snapshot};
pub use time::Instant;

/// Every limit and fixed span of time, each where it is decided.
pub mod limits {
    pub use crate::ack::REQUESTS_IN_FLIGHT_MAX;
    pub use crate::consumer::{
        DELETE_GATHERED_MAX, FAILED_HIDDEN_MIN, HOP_MAX, KINDS_MAX, OVERDUE_AFTER,
        POISON_GATHERED_MAX, POISON_HIDDEN_MAX, POISON_HIDDEN_MIN, RELEASE_FAILURES_MAX,
    };
    pub use crate::fetch::{ATTEMPT_MAX, EXTRA_WAIT, POLLS_MAX, PREFETCH};
    pub use crate::lease::{
        HEARTBEAT_NEEDS_MIN, LEASE_END_NEAR, LEASE_MIN, LEASE_TOTAL_MARGIN, LEASE_TOTAL_MAX,
        TRANSIT_MAX,
    };
    pub use crate::limiter::HELD_BACK_MAX;
    pub use crate::memory::REMEMBERED_MIN;
    pub use crate::pool::{PIPELINE_MAX, PIPELINE_TASK_MAX, PIPELINE_WORK_MAX, STUCK_AFTER};
    pub use crate::queue::{
        ACTIVE_FOR, SLOW_FACTOR, SLOW_MIN, SPARE_FOR, UNCONFIRMED_MAX, UNKNOWN_TASK,
    };
    pub use crate::schedule::RATE_BURST;
    pub use crate::settings::{
        BATCH_MAX, BUFFER_BYTES_MAX, BUFFER_MESSAGES_MAX, BURST_WAIT, GATHERED_MAX, WAIT_MAX,
    };
    pub use crate::stop::{STOP_NOW_PATIENCE, STOP_PATIENCE, STOP_POLL_GRACE};
    pub use crate::time::TICK;
    pub use crate::trouble::{TOLD_AFTER, TOLD_AFTER_FAILURES};
}
