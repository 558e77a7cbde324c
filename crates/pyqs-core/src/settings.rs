//! What the user can choose.

use std::time::Duration;

/// Most messages that one SQS request can carry (AWS: quotas-messages).
pub const BATCH_MAX: u8 = 10;

/// Most messages held but not started, over all queues, unless the user asked for fewer.
///
/// A second of work at a thousand tasks a second, and about ten round trips of all pollers at the
/// highest rates, so a larger buffer would add nothing but bodies in memory.
pub const BUFFER_MESSAGES_MAX: usize = 1000;

/// SQS's longest long poll (AWS: `ReceiveMessage`, `WaitTimeSeconds`).
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// The consumer's settings. Values outside a range are brought into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most messages a request asks for: 1 to [`BATCH_MAX`].
    pub batch_max: u8,
    /// Most messages held but not started, over all queues: at least 1. A queue's only poll is
    /// opened while fewer are held, so what comes can exceed this by one batch a queue.
    pub buffer_max: usize,
    /// How long a poll waits: whole seconds, at most [`WAIT_MAX`].
    pub wait: Duration,
    /// Whether leases are extended while messages wait and run. Without, messages whose lease
    /// lapsed in the buffer are dropped, as in `PyQS`.
    pub extend_visibility: bool,
    /// A task's lease is extended to no later than this long after it was dispatched.
    pub extend_visibility_max: Option<Duration>,
    /// A process rests this long after each task.
    pub interval: Duration,
    /// At a stop, tasks that still run after this long are killed.
    pub shutdown_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_max: BATCH_MAX,
            buffer_max: BUFFER_MESSAGES_MAX,
            wait: WAIT_MAX,
            extend_visibility: true,
            extend_visibility_max: None,
            interval: Duration::ZERO,
            shutdown_timeout: None,
        }
    }
}

impl Settings {
    /// The same, every value within its range.
    pub(crate) fn in_range(self) -> Self {
        Self {
            batch_max: self.batch_max.clamp(1, BATCH_MAX),
            buffer_max: self.buffer_max.max(1),
            wait: Duration::from_secs(self.wait.min(WAIT_MAX).as_secs()),
            ..self
        }
    }
}
