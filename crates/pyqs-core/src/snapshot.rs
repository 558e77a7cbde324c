//! How things stand, as a value to look at.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::message::QueueId;
use crate::time::Instant;

/// A consumer's state at one moment, for dashboards, metrics and tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Each queue.
    pub queues: BTreeMap<QueueId, QueueSnapshot>,
    /// Processes that can take or are running tasks.
    pub processes: usize,
    /// Of these, the ones that were given something which has not ended.
    pub processes_busy: usize,
    /// A stop was asked for.
    pub is_stopping: bool,
    /// What happened since the start.
    pub counters: Counters,
}

/// One queue's state at one moment. Each held message is in exactly one of the five counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// Received, not started.
    pub buffered: usize,
    /// Bytes of messages that are held and not running, by what the driver says of each.
    pub bytes: usize,
    /// Given to processes, not ended.
    pub running: usize,
    /// To be sent on; that is not confirmed.
    pub forwarding: usize,
    /// Done with; the delete is not confirmed.
    pub deleting: usize,
    /// Failed, poison, or given back; the change of visibility is not confirmed.
    pub releasing: usize,
    /// Receives that have not come back.
    pub polls: usize,
    /// When a poll last came back with an answer of SQS: its age is the liveness of this queue.
    pub polled_at: Option<Instant>,
    /// Polls fail at present.
    pub is_troubled: bool,
    /// How long its tasks take, by a moving mean; unknown before the first one ended.
    pub task_mean: Option<Duration>,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Deliveries taken in.
    pub received: u64,
    /// Tasks given to processes; one that was taken back and given again counts twice.
    pub dispatched: u64,
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that failed, whatever was decided then, crashes included.
    pub failed: u64,
    /// Of these, the ones to run again after a back-off.
    pub retried: u64,
    /// Of these, the ones that had no retry left, and no dead-letter queue.
    pub exhausted: u64,
    /// Tasks whose messages were discarded.
    pub discarded: u64,
    /// Messages deleted unrun since their time was over.
    pub expired: u64,
    /// Messages confirmed in a dead-letter queue.
    pub dead_lettered: u64,
    /// Tasks whose callbacks SQS has confirmed, all of them.
    pub callbacks_sent: u64,
    /// Tasks whose callbacks were not sent in the end; their messages come again.
    pub callbacks_given_up: u64,
    /// Hops confirmed, of messages whose time had not come.
    pub hops: u64,
    /// Sends of messages that were refused: they stay, and what is to follow a task is sent again.
    pub forwards_refused: u64,
    /// Messages and callbacks sent on again since the answer was lost: there may be two of each.
    pub forwards_unsure: u64,
    /// Tasks whose process died of them.
    pub crashed: u64,
    /// Deliveries that could not be read or run.
    pub poison: u64,
    /// Deletes confirmed.
    pub deleted: u64,
    /// Deletes given up.
    pub deletes_given_up: u64,
    /// Redeliveries deleted without running.
    pub duplicates_deleted: u64,
    /// Redeliveries of a message still held.
    pub redelivered: u64,
    /// Messages that had been received before, and by nothing that happened here: another worker failed with them,
    /// gave them back or died, and they may have run there.
    pub unexplained: u64,
    /// Messages dropped unstarted on a lapsed lease.
    pub lapsed_before_start: u64,
    /// Leases lost while the task ran.
    pub leases_lost: u64,
    /// Replies slower than the allowance for their transit, as far as they could be seen.
    pub slow_replies: u64,
    /// Messages made visible again unstarted.
    pub given_back: u64,
    /// Messages hidden unstarted until the limits of their task let them run.
    pub held_back: u64,
    /// Receives that failed.
    pub polls_failed: u64,
    /// Receives that did not come back in any reasonable time.
    pub polls_overdue: u64,
}
