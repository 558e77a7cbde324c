//! How far a stop has come.

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
