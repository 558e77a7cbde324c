//! How far a stop has come, and how many tasks lead to one.

use std::time::Duration;

/// A stop waits for a receive for as long as that was to wait, and so much longer for its way there and back: what
/// it brings would stay hidden for its whole visibility timeout.
pub const STOP_POLL_GRACE: Duration = Duration::from_secs(2);
/// A stop waits no longer than this for replies once no task runs; for what a receive brought, no longer than
/// [`STOP_NOW_PATIENCE`] after the last of these can come.
pub const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// A stop that must not wait ends no later than this.
pub const STOP_NOW_PATIENCE: Duration = Duration::from_secs(3);

/// How far a stop has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    /// None was asked for.
    #[default]
    No,
    /// Running tasks may finish.
    Graceful,
    /// Nothing is waited for but replies, and these not for long.
    Now,
    /// The last action was given.
    Done,
}

/// How many tasks may still be begun and are to end, where there is a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// Not given to a process yet.
    to_begin: u64,
    /// Not ended yet.
    to_end: u64,
}

impl Quota {
    pub(crate) fn new(tasks_max: u64) -> Self {
        Self {
            to_begin: tasks_max,
            to_end: tasks_max,
        }
    }

    /// So many may still be begun.
    pub(crate) fn left(self) -> u64 {
        self.to_begin
    }

    pub(crate) fn is_used_up(self) -> bool {
        self.to_end == 0
    }

    /// A task was given to a process.
    pub(crate) fn began(&mut self) {
        self.to_begin = self.to_begin.saturating_sub(1);
    }

    /// It came back and did not run.
    pub(crate) fn came_back(&mut self) {
        self.to_begin = (self.to_begin + 1).min(self.to_end);
    }

    /// It ended.
    pub(crate) fn ended(&mut self) {
        self.to_end = self.to_end.saturating_sub(1);
    }
}
