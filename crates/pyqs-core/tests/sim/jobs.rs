//! What is known of each job.

use pyqs_core::{Instant, MessageKey};

/// A job, as far as it has come.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct JobRecord {
    /// Its queue and message group.
    pub(crate) group: Option<(u32, u32)>,
    pub(crate) can_succeed: bool,
    pub(crate) is_sent: bool,
    /// When it first began and when it last ended.
    pub(crate) began: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    pub(crate) is_running: bool,
    pub(crate) runs: u32,
    pub(crate) successes: u32,
    pub(crate) over: Option<Over>,
    /// It was noted that it must not run again.
    pub(crate) is_known_done: bool,
    pub(crate) callbacks: Callbacks,
    pub(crate) last_delivery: Option<MessageKey>,
    /// So often it was put off, and until then.
    pub(crate) postponed: u32,
    pub(crate) postponed_until: Option<Instant>,
    /// It asked to run again no earlier.
    pub(crate) retry_at: Option<Instant>,
}

impl JobRecord {
    pub(crate) fn is_done(&self) -> bool {
        self.successes > 0 || self.over.is_some()
    }
}

/// What is to follow a job that has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Callbacks {
    #[default]
    None,
    Wanted,
    /// SQS has them.
    Sent,
}

/// How a job that does not succeed can be done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Discarded,
    /// SQS has it in the dead-letter queue.
    Dead,
    Expired,
    /// It failed for good, and others are to hear of it.
    Failed,
}
