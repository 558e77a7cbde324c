//! `Job`: a task to run, as it arrives in a task process.

use std::collections::BTreeMap;

use pyqs_sqs::{AttributeValue, Received};
use serde::{Deserialize, Serialize};

use super::ledger::Sequence;
use super::successes::Mark;
use super::wire::{AttributeFrame, JobFrame, TimeLimits};

/// A task to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// SQS's id of the message.
    pub message_id: String,
    /// SQS's receipt handle of this delivery.
    pub receipt: String,
    /// The queue that it came from.
    pub queue_url: String,
    /// The message as it came; its arguments are decoded by who runs it.
    pub body: String,
    /// The task's name, as the message gives it.
    pub task: String,
    /// When it was received, in seconds since 1970.
    pub fetch_time: f64,
    /// The queue's visibility timeout, in seconds.
    pub timeout: u32,
    /// How often the message was received, this time included.
    pub receive_count: u32,
    /// Which run of it this is, 1 for the first, as far as is known: never too low.
    pub attempt: u32,
    /// When its lease ends unless extended, in nanoseconds of the machine's lease clock.
    pub lease_until_nanos: u64,
    /// How long it may run, where the message says so.
    pub limits: TimeLimits,
    /// How often it was retried before this message was sent, as Celery's say; 0 for others.
    pub retries_before: u32,
    /// The message's attributes by name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// What SQS says of the message, where its queue has a handler for whatever comes: the body is not read
    /// then, and `task` is the handler's name.
    pub system: Option<SystemAttributes>,
    /// Those that are run with it, in their order.
    pub others: Vec<Self>,
    /// Of one that is run with others: its message group, where that orders.
    pub(super) group: Option<String>,
    pub(super) sequence: Sequence,
    /// By which its success is remembered.
    pub(super) mark: Mark,
}

/// What SQS itself says of a message. Times are in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemAttributes {
    /// When it was sent.
    pub sent_at_millis: Option<u64>,
    /// When it was first received.
    pub first_received_at_millis: Option<u64>,
    /// Its message group.
    pub group: Option<String>,
    /// Its deduplication id (FIFO).
    pub deduplication_id: Option<String>,
    /// Its place in the queue (FIFO).
    pub sequence_number: Option<String>,
    /// The X-Ray trace header.
    pub trace_header: Option<String>,
    /// In a dead-letter queue: the ARN of the queue that it came from.
    pub dead_letter_source: Option<String>,
}

impl SystemAttributes {
    /// Those of a message.
    pub(crate) fn of(received: &Received) -> Self {
        Self {
            sent_at_millis: received.sent_at_millis,
            first_received_at_millis: received.first_received_at_millis,
            group: received.group.clone(),
            deduplication_id: received.deduplication_id.clone(),
            sequence_number: received.sequence_number.clone(),
            trace_header: received.trace_header.clone(),
            dead_letter_source: received.dead_letter_source.clone(),
        }
    }

    /// Bytes that it takes in a frame, at most.
    pub(super) fn size(&self) -> usize {
        let texts = [
            &self.group,
            &self.deduplication_id,
            &self.sequence_number,
            &self.trace_header,
            &self.dead_letter_source,
        ];
        let texts = texts.into_iter().flatten().map(String::len);
        // Seven marks, and as many numbers of at most 10 bytes.
        texts.sum::<usize>() + 77
    }
}

#[cfg(test)]
impl Job {
    /// A message that a test makes something of.
    pub(crate) fn for_tests(message_id: &str, queue_url: &str, body: &str) -> Self {
        Self {
            message_id: message_id.to_owned(),
            receipt: String::new(),
            queue_url: queue_url.to_owned(),
            body: body.to_owned(),
            task: String::new(),
            fetch_time: 0.0,
            timeout: 30,
            receive_count: 1,
            attempt: 1,
            lease_until_nanos: 0,
            limits: TimeLimits::default(),
            retries_before: 0,
            attributes: BTreeMap::new(),
            system: None,
            others: Vec::new(),
            group: None,
            sequence: 1,
            mark: Mark::of(message_id),
        }
    }
}

impl From<JobFrame<'_>> for Job {
    fn from(frame: JobFrame<'_>) -> Self {
        Self {
            message_id: frame.message_id.to_owned(),
            receipt: frame.receipt.to_owned(),
            queue_url: frame.queue_url.to_owned(),
            body: frame.body.to_owned(),
            task: frame.task.to_owned(),
            fetch_time: frame.fetch_time,
            timeout: frame.visibility_secs,
            receive_count: frame.receive_count,
            attempt: frame.attempt,
            lease_until_nanos: frame.lease_until_nanos,
            limits: frame.limits,
            retries_before: frame.retries_before,
            attributes: frame
                .attributes
                .into_iter()
                .map(AttributeFrame::into_attribute)
                .collect(),
            system: frame.system,
            others: Vec::new(),
            group: frame.group.map(str::to_owned),
            sequence: frame.sequence,
            mark: frame.mark,
        }
    }
}
