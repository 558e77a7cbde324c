//! Queues: their URLs and what they are set to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::names;

/// The address of a queue, as SQS gave it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueUrl(Arc<str>);

impl QueueUrl {
    /// Takes what SQS (or a person) gave as a queue's URL.
    pub fn new(url: impl Into<Arc<str>>) -> Self {
        Self(url.into())
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The queue's name: the last part of the URL's path.
    pub fn name(&self) -> &str {
        self.0
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(&self.0)
    }

    /// Whether the name says that the queue is FIFO.
    pub fn is_fifo(&self) -> bool {
        names::is_fifo(self.name())
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueUrl({})", self.0)
    }
}

/// What a queue is set to. What an endpoint leaves out has SQS's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAttributes {
    /// How long a received message stays hidden where the receive names no time of its own; 30 s.
    pub visibility_timeout: Duration,
    /// Whether the queue keeps the order of each message group.
    pub is_fifo: bool,
    /// Whether a FIFO queue takes the body's digest for a deduplication id where none is given.
    pub content_deduplication: bool,
    /// The largest message, in bytes with its attributes; 1 MiB.
    pub message_size_max: usize,
    /// Receives after which SQS moves a message to the dead-letter queue; `None` without one.
    pub receives_max: Option<u32>,
    /// The ARN of the dead-letter queue.
    pub dead_letter_arn: Option<String>,
    /// The ARN of the queue itself.
    pub arn: Option<String>,
    /// How long the queue keeps a message; 4 days.
    pub retention: Duration,
    /// How long each new message stays hidden at first; 0.
    pub delay: Duration,
    /// Roughly how much the queue holds.
    pub counts: MessageCounts,
}

impl QueueAttributes {
    /// `VisibilityTimeout` of a queue that sets none.
    pub const VISIBILITY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
    /// `MaximumMessageSize` of a queue that sets none, and the most that SQS takes in one request.
    pub const MESSAGE_SIZE_MAX_DEFAULT: usize = 1024 * 1024;
    /// `MessageRetentionPeriod` of a queue that sets none.
    pub const RETENTION_DEFAULT: Duration = Duration::from_hours(4 * 24);
}

impl Default for QueueAttributes {
    fn default() -> Self {
        Self {
            visibility_timeout: Self::VISIBILITY_TIMEOUT_DEFAULT,
            is_fifo: false,
            content_deduplication: false,
            message_size_max: Self::MESSAGE_SIZE_MAX_DEFAULT,
            receives_max: None,
            dead_letter_arn: None,
            arn: None,
            retention: Self::RETENTION_DEFAULT,
            delay: Duration::ZERO,
            counts: MessageCounts::default(),
        }
    }
}

/// Roughly how many messages a queue holds, by SQS's `ApproximateNumberOf…` attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// Waiting to be received.
    pub visible: u64,
    /// Received and not yet deleted.
    pub in_flight: u64,
    /// Not yet due.
    pub delayed: u64,
}

#[cfg(test)]
mod tests {
    use super::QueueUrl;

    #[test]
    fn the_name_is_the_last_part_of_the_path() {
        let check = |url: &str, name: &str| assert_eq!(QueueUrl::new(url).name(), name);
        check("http://127.0.0.1:9324/000000000000/email", "email");
        check(
            "https://sqs.eu-west-1.amazonaws.com/123456789012/a.fifo",
            "a.fifo",
        );
        check("http://127.0.0.1:9324/000000000000/email/", "email");
        check("email", "email");
        check("", "");
    }
}
