//! The requests that a message costs, and their answers, in SQS's JSON protocol (SQS API reference, by action).

#![allow(clippy::struct_field_names, reason = "fields have SQS's own names")]

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};

use super::failure::entry_error;
use super::whole_secs;
use crate::{AttributeValue, EntryError, Outgoing, QueueUrl, Receipt, ReceiveRequest, Received};

/// `ReceiveMessage`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receive<'a> {
    queue_url: &'a str,
    max_number_of_messages: u8,
    wait_time_seconds: i32,
    visibility_timeout: i32,
    message_system_attribute_names: [&'static str; 8],
    message_attribute_names: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_request_attempt_id: Option<&'a str>,
}

/// Asked for by name at each receive: SQS gives none unasked (SQS API: `ReceiveMessage`).
const SYSTEM_ATTRIBUTES: [&str; 8] = [
    "ApproximateReceiveCount",
    "SentTimestamp",
    "ApproximateFirstReceiveTimestamp",
    "MessageGroupId",
    "MessageDeduplicationId",
    "SequenceNumber",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

impl<'a> Receive<'a> {
    pub(super) fn new(queue: &'a QueueUrl, request: &'a ReceiveRequest) -> Self {
        Self {
            queue_url: queue.as_str(),
            max_number_of_messages: request.max,
            wait_time_seconds: whole_secs(request.wait),
            visibility_timeout: whole_secs(request.visibility),
            message_system_attribute_names: SYSTEM_ATTRIBUTES,
            message_attribute_names: ["All"],
            receive_request_attempt_id: request.attempt_id.as_deref(),
        }
    }
}

/// `ReceiveMessage` for nothing but its header.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndPoll<'a> {
    queue_url: &'a str,
}

impl<'a> EndPoll<'a> {
    pub(super) fn of(queue: &'a QueueUrl) -> Self {
        Self {
            queue_url: queue.as_str(),
        }
    }
}

/// The answer to `ReceiveMessage`. An empty one has no list at all.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Messages {
    messages: Option<Vec<Message>>,
}

/// A message. What is missing stays missing: endpoints differ in what they leave out.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Message {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    attributes: Option<SystemAttributes>,
    message_attributes: Option<BTreeMap<String, Option<Attribute>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SystemAttributes {
    approximate_receive_count: Option<String>,
    sent_timestamp: Option<String>,
    approximate_first_receive_timestamp: Option<String>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    sequence_number: Option<String>,
    #[serde(rename = "AWSTraceHeader")]
    aws_trace_header: Option<String>,
    dead_letter_queue_source_arn: Option<String>,
}

impl Messages {
    pub(super) fn received(self) -> Vec<Received> {
        let messages = self.messages.unwrap_or_default().into_iter();
        messages.map(Received::from).collect()
    }
}

impl From<Message> for Received {
    fn from(message: Message) -> Self {
        let system = message.attributes.unwrap_or_default();
        let attributes = message.message_attributes.unwrap_or_default().into_iter();
        Self {
            receive_count: system
                .approximate_receive_count
                .and_then(|count| count.parse().ok())
                .unwrap_or(1)
                .max(1),
            sent_at_millis: millis(system.sent_timestamp),
            first_received_at_millis: millis(system.approximate_first_receive_timestamp),
            group: system.message_group_id,
            deduplication_id: system.message_deduplication_id,
            sequence_number: system.sequence_number,
            trace_header: system.aws_trace_header,
            dead_letter_source: system.dead_letter_queue_source_arn,
            message_id: message.message_id.unwrap_or_default(),
            receipt: Receipt::new(message.receipt_handle.unwrap_or_default()),
            body: message.body.unwrap_or_default(),
            attributes: attributes
                .filter_map(|(name, value)| Some((name, value?.value()?)))
                .collect(),
        }
    }
}

fn millis(text: Option<String>) -> Option<u64> {
    text?.parse().ok()
}

/// A message attribute, in or out.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attribute {
    data_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

impl Attribute {
    /// None where the bytes are no base64, which SQS never gives.
    fn value(self) -> Option<AttributeValue> {
        let data_type = self.data_type.unwrap_or_default();
        Some(match self.binary_value {
            Some(bytes) => AttributeValue::Binary {
                data_type,
                value: base64::decode(bytes).ok()?,
            },
            None => AttributeValue::Text {
                data_type,
                value: self.string_value.unwrap_or_default(),
            },
        })
    }
}

impl From<AttributeValue> for Attribute {
    fn from(value: AttributeValue) -> Self {
        match value {
            AttributeValue::Text { data_type, value } => Self {
                data_type: Some(data_type),
                string_value: Some(value),
                binary_value: None,
            },
            AttributeValue::Binary { data_type, value } => Self {
                data_type: Some(data_type),
                string_value: None,
                binary_value: Some(base64::encode(value)),
            },
        }
    }
}

/// `SendMessage`, and without a queue an entry of `SendMessageBatch`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Send<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    message_body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, Attribute>,
    /// The trace header is the one that can be sent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_system_attributes: BTreeMap<&'static str, Attribute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<String>,
}

impl<'a> Send<'a> {
    pub(super) fn to(queue: &'a QueueUrl, message: Outgoing) -> Self {
        Self {
            queue_url: Some(queue.as_str()),
            ..Self::from(message)
        }
    }
}

impl From<Outgoing> for Send<'_> {
    fn from(message: Outgoing) -> Self {
        let trace_header = message.trace_header.map(AttributeValue::text);
        let attributes = message.attributes.into_iter();
        Self {
            queue_url: None,
            id: None,
            message_body: message.body,
            delay_seconds: message.delay.map(whole_secs),
            message_attributes: attributes
                .map(|(name, value)| (name, value.into()))
                .collect(),
            message_system_attributes: trace_header
                .map(|header| ("AWSTraceHeader", header.into()))
                .into_iter()
                .collect(),
            message_group_id: message.group,
            message_deduplication_id: message.deduplication_id,
        }
    }
}

/// The answer to `SendMessage`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Sent {
    pub(super) message_id: Option<String>,
}

/// A request of several entries, whose ids are their places.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch<'a, T> {
    queue_url: &'a str,
    entries: Vec<T>,
}

/// An entry of `DeleteMessageBatch` or `ChangeMessageVisibilityBatch`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delivery<'a> {
    id: String,
    receipt_handle: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility_timeout: Option<i32>,
}

impl<'a> Batch<'a, Delivery<'a>> {
    /// `DeleteMessageBatch`.
    pub(super) fn deletes(queue: &'a QueueUrl, receipts: &'a [Receipt]) -> Self {
        let entries = receipts.iter().map(|receipt| (receipt, None));
        Self::of(queue, entries)
    }

    /// `ChangeMessageVisibilityBatch`.
    pub(super) fn visibilities(queue: &'a QueueUrl, entries: &'a [(Receipt, Duration)]) -> Self {
        let entries = entries.iter();
        Self::of(
            queue,
            entries.map(|(receipt, visible)| (receipt, Some(*visible))),
        )
    }

    fn of(
        queue: &'a QueueUrl,
        entries: impl Iterator<Item = (&'a Receipt, Option<Duration>)>,
    ) -> Self {
        let entries = entries.enumerate();
        let entries = entries.map(|(place, (receipt, visibility))| Delivery {
            id: place.to_string(),
            receipt_handle: receipt.as_str(),
            visibility_timeout: visibility.map(whole_secs),
        });
        Self {
            queue_url: queue.as_str(),
            entries: entries.collect(),
        }
    }
}

impl<'a> Batch<'a, Send<'a>> {
    /// `SendMessageBatch`.
    pub(super) fn sends(queue: &'a QueueUrl, messages: Vec<Outgoing>) -> Self {
        let entries = messages.into_iter().enumerate();
        let entries = entries.map(|(place, message)| Send {
            id: Some(place.to_string()),
            ..Send::from(message)
        });
        Self {
            queue_url: queue.as_str(),
            entries: entries.collect(),
        }
    }
}

/// The answer to a batch.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BatchAnswer {
    successful: Option<Vec<Done>>,
    failed: Option<Vec<Failed>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Done {
    id: String,
    message_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Failed {
    id: String,
    code: String,
    message: Option<String>,
    sender_fault: bool,
}

impl BatchAnswer {
    /// One for each of so many entries, in order; what was done has the message's id where it was sent.
    pub(super) fn by_entry(self, count: usize) -> Vec<Result<String, EntryError>> {
        let mut answers: Vec<_> = (0..count).map(|_| Err(not_answered())).collect();
        let mut put = |id: &str, answer| {
            let place = id.parse().ok();
            if let Some(place) = place.and_then(|place: usize| answers.get_mut(place)) {
                *place = answer;
            }
        };
        for done in self.successful.unwrap_or_default() {
            put(&done.id, Ok(done.message_id.unwrap_or_default()));
        }
        for failed in self.failed.unwrap_or_default() {
            let error = entry_error(&failed.code, failed.message.as_deref(), failed.sender_fault);
            put(&failed.id, Err(error));
        }
        answers
    }
}

fn not_answered() -> EntryError {
    EntryError::Failed {
        code: "NoAnswer".to_owned(),
        message: "SQS's answer does not mention this entry".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Messages;
    use crate::Received;

    fn received(json: &str) -> Vec<Received> {
        serde_json::from_str::<Messages>(json).unwrap().received()
    }

    #[test]
    fn a_message_that_says_nothing_is_a_first_delivery() {
        let messages = received(r#"{"Messages": [{}]}"#);
        assert_eq!((messages[0].receive_count, &*messages[0].body), (1, ""));
    }

    #[test]
    fn what_endpoints_leave_out_or_add_is_passed_over() {
        for nothing in ["{}", r#"{"Messages": null}"#, r#"{"Messages": [], "x": 1}"#] {
            assert_eq!(received(nothing), [], "{nothing}");
        }
        let message = received(
            r#"{"Messages": [{"MessageId": "a", "Attributes": null, "MD5OfBody": "x",
            "MessageAttributes": {"a": null, "b": {"DataType": "Binary", "BinaryValue": "?"},
            "c": {"DataType": "Binary", "BinaryValue": "AAE="}, "d": {"StringValue": "x"}}}]}"#,
        );
        let names: Vec<_> = message[0].attributes.keys().cloned().collect();
        assert_eq!(names, ["c", "d"]);
    }
}
