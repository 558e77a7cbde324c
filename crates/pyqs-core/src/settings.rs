//! What the user can choose.

use std::time::Duration;

/// Most messages that one SQS request can carry (AWS: quotas-messages).
pub const BATCH_MAX: u8 = 10;

/// Most messages held but not started, over all queues, unless the user asked for fewer.
///
/// A second of work at a thousand tasks a second, and about ten round trips of all pollers at the
/// highest rates, so a larger buffer would add nothing but bodies in memory.
pub const BUFFER_MESSAGES_MAX: usize = 1000;

/// Most bytes of messages that are held and not running, over all queues, unless the user asked for another limit.
///
/// Sixty-four of SQS's largest messages (1 MiB; AWS: quotas-messages), and more than a thousand of usual ones.
pub const BUFFER_BYTES_MAX: usize = 64 << 20;

/// Most messages that one run takes, where a task wants several: as many as may be held at all.
pub const GATHERED_MAX: usize = BUFFER_MESSAGES_MAX;

/// SQS's longest long poll (AWS: `ReceiveMessage`, `WaitTimeSeconds`).
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// How long the receives of a burst wait: not nothing, since a receive that does not wait looks at a part of SQS's
/// servers only, and may miss what is there (AWS: sqs-short-and-long-polling).
pub const BURST_WAIT: Duration = Duration::from_secs(1);

/// The consumer's settings. Values outside a range are brought into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most messages a request asks for: 1 to [`BATCH_MAX`].
    pub batch_max: u8,
    /// Most messages held but not started, over all queues: at least 1. A queue's only poll is
    /// opened while fewer are held, so what comes can exceed this by one batch a queue.
    pub buffer_max: usize,
    /// Most bytes of messages held and not running, over all queues, by what the driver says of each: at least 1. A queue
    /// that holds none is asked for one message all the same. What a receive brings is known only when it is there, so
    /// the first one of a queue, and those that are open when its messages grow, can exceed this.
    pub buffer_bytes_max: usize,
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
    /// The consumer ends by itself when nothing is held and two receives in a row of each queue, that were asked for
    /// since, brought nothing. Receives then wait for [`BURST_WAIT`] at most. What is delayed or hidden meanwhile is
    /// not waited for.
    pub burst: bool,
    /// The consumer ends by itself when so many tasks have ended, well or not. No more are begun, and what else was
    /// received is given back.
    pub tasks_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_max: BATCH_MAX,
            buffer_max: BUFFER_MESSAGES_MAX,
            buffer_bytes_max: BUFFER_BYTES_MAX,
            wait: WAIT_MAX,
            extend_visibility: true,
            extend_visibility_max: None,
            interval: Duration::ZERO,
            shutdown_timeout: None,
            burst: false,
            tasks_max: None,
        }
    }
}

impl Settings {
    /// The same, every value within its range.
    pub(crate) fn in_range(self) -> Self {
        let wait_max = if self.burst { BURST_WAIT } else { WAIT_MAX };
        Self {
            batch_max: self.batch_max.clamp(1, BATCH_MAX),
            buffer_max: self.buffer_max.max(1),
            buffer_bytes_max: self.buffer_bytes_max.max(1),
            wait: Duration::from_secs(self.wait.min(wait_max).as_secs()),
            ..self
        }
    }
}
