//! How far a stop has come.

use std::time::Duration;

/// A stop waits no longer than this for replies once no task runs and no poll is open.
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
