//! Messages, as sent and as received.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A message to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The text; of the characters that XML 1.0 allows.
    pub body: String,
    /// How long the message stays hidden at first, at most 900 s (`pyqs::Client` takes longer ones);
    /// `None` leaves it to the queue. FIFO queues refuse one.
    pub delay: Option<Duration>,
    /// At most 10 attributes by name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// The message group: needed on FIFO queues, makes a standard queue fair.
    pub group: Option<String>,
    /// FIFO: a message of the same id sent within 5 minutes is not delivered again.
    pub deduplication_id: Option<String>,
    /// The X-Ray trace header (system attribute `AWSTraceHeader`).
    pub trace_header: Option<String>,
}

impl Outgoing {
    /// A message of just this body.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// Bytes that count towards the queue's `MaximumMessageSize`: the body, and each attribute's
    /// name, type and value. The trace header does not count (SQS API: `MessageSystemAttributes`).
    pub fn size(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.size())
            .sum();
        self.body.len() + attributes
    }
}

/// The value of a message attribute, with its type as SQS has it: `String`, `Number` or `Binary`,
/// maybe with a label of the sender's (`Number.int`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text or a number.
    Text {
        /// `String…` or `Number…`.
        data_type: String,
        /// The text, or the number as text.
        value: String,
    },
    /// Bytes.
    Binary {
        /// `Binary…`.
        data_type: String,
        /// The bytes.
        value: Vec<u8>,
    },
}

impl AttributeValue {
    /// A plain `String`.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text {
            data_type: "String".to_owned(),
            value: value.into(),
        }
    }

    /// A whole `Number`.
    pub fn number(value: impl Into<i64>) -> Self {
        Self::Text {
            data_type: "Number".to_owned(),
            value: value.into().to_string(),
        }
    }

    /// The text or number; `None` for bytes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { value, .. } => Some(value),
            Self::Binary { .. } => None,
        }
    }

    /// What it takes of a message's size.
    pub fn size(&self) -> usize {
        match self {
            Self::Text { data_type, value } => data_type.len() + value.len(),
            Self::Binary { data_type, value } => data_type.len() + value.len(),
        }
    }
}

/// What to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// At most this many messages, 1 to 10.
    pub max: u8,
    /// How long SQS may wait for a first message, at most 20 s (whole seconds).
    pub wait: Duration,
    /// How long the messages stay hidden (whole seconds). Always named, so that the length of a
    /// lease is never a guess.
    pub visibility: Duration,
    /// By which it can be ended ([`Sqs::end_poll`](crate::Sqs::end_poll)), if this is given.
    pub poll: Option<String>,
    /// FIFO: repeats a receive whose reply was lost (`ReceiveRequestAttemptId`).
    pub attempt_id: Option<String>,
}

/// A message that was received. What an endpoint leaves out is `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// SQS's id of the message.
    pub message_id: String,
    /// By which this delivery is deleted or its visibility changed.
    pub receipt: Receipt,
    /// The text.
    pub body: String,
    /// How often the message was received, this time included; at least 1.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_millis: Option<u64>,
    /// When it was first received, in milliseconds since 1970.
    pub first_received_at_millis: Option<u64>,
    /// Its message group.
    pub group: Option<String>,
    /// Its deduplication id (FIFO).
    pub deduplication_id: Option<String>,
    /// Its place in the queue (FIFO), a large decimal number.
    pub sequence_number: Option<String>,
    /// The X-Ray trace header.
    pub trace_header: Option<String>,
    /// In a dead-letter queue: the ARN of the queue that it came from.
    pub dead_letter_source: Option<String>,
    /// Its message attributes by name.
    pub attributes: BTreeMap<String, AttributeValue>,
}

impl Received {
    /// A first delivery of just this body: what fakes and tests start from.
    pub fn new(
        message_id: impl Into<String>,
        receipt: impl Into<Arc<str>>,
        body: impl Into<String>,
    ) -> Self {
        Self {
            message_id: message_id.into(),
            receipt: Receipt::new(receipt),
            body: body.into(),
            receive_count: 1,
            sent_at_millis: None,
            first_received_at_millis: None,
            group: None,
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
            dead_letter_source: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// SQS's receipt handle of one delivery. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(Arc<str>);

impl Receipt {
    /// Takes a handle as SQS gave it.
    pub fn new(handle: impl Into<Arc<str>>) -> Self {
        Self(handle.into())
    }

    /// The handle.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{AttributeValue, Outgoing};

    #[test]
    fn size_counts_body_and_attributes_but_not_the_trace_header() {
        let mut message = Outgoing::new("äb");
        message.trace_header = Some("Root=1-2-3".to_owned());
        assert_eq!(message.size(), 3);

        message
            .attributes
            .insert("name".to_owned(), AttributeValue::text("12"));
        assert_eq!(message.size(), 3 + 4 + "String".len() + 2);
    }
}
