//! Between the SDK's types and ours.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName,
};

use crate::{AttributeValue, MessageCounts, Outgoing, QueueAttributes, Receipt, Received};

/// Asked for by name at each receive: SQS gives none unasked (SQS API: `ReceiveMessage`).
pub(super) const SYSTEM_ATTRIBUTES: [MessageSystemAttributeName; 8] = [
    MessageSystemAttributeName::ApproximateReceiveCount,
    MessageSystemAttributeName::SentTimestamp,
    MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
    MessageSystemAttributeName::MessageGroupId,
    MessageSystemAttributeName::MessageDeduplicationId,
    MessageSystemAttributeName::SequenceNumber,
    MessageSystemAttributeName::AwsTraceHeader,
    MessageSystemAttributeName::DeadLetterQueueSourceArn,
];

/// A received message. What is missing stays missing: endpoints differ in what they leave out.
pub(super) fn received(message: Message) -> Received {
    let mut system = message.attributes.unwrap_or_default();
    let mut take = |name: MessageSystemAttributeName| system.remove(&name);
    Received {
        receive_count: take(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok())
            .unwrap_or(1)
            .max(1),
        sent_at_millis: take(MessageSystemAttributeName::SentTimestamp)
            .and_then(|millis| millis.parse().ok()),
        first_received_at_millis: take(
            MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
        )
        .and_then(|millis| millis.parse().ok()),
        group: take(MessageSystemAttributeName::MessageGroupId),
        deduplication_id: take(MessageSystemAttributeName::MessageDeduplicationId),
        sequence_number: take(MessageSystemAttributeName::SequenceNumber),
        trace_header: take(MessageSystemAttributeName::AwsTraceHeader),
        dead_letter_source: take(MessageSystemAttributeName::DeadLetterQueueSourceArn),
        message_id: message.message_id.unwrap_or_default(),
        receipt: Receipt::new(message.receipt_handle.unwrap_or_default()),
        body: message.body.unwrap_or_default(),
        attributes: message
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, attribute(value)))
            .collect(),
    }
}

fn attribute(value: MessageAttributeValue) -> AttributeValue {
    match value.binary_value {
        Some(bytes) => AttributeValue::Binary {
            data_type: value.data_type,
            value: bytes.into_inner(),
        },
        None => AttributeValue::Text {
            data_type: value.data_type,
            value: value.string_value.unwrap_or_default(),
        },
    }
}

/// Attributes to be sent; `None` where there are none.
pub(super) fn attributes_out(
    attributes: BTreeMap<String, AttributeValue>,
) -> Option<HashMap<String, MessageAttributeValue>> {
    if attributes.is_empty() {
        return None;
    }
    let out = attributes
        .into_iter()
        .map(|(name, value)| (name, attribute_out(value)));
    Some(out.collect())
}

fn attribute_out(value: AttributeValue) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder();
    match value {
        AttributeValue::Text { data_type, value } => {
            builder.data_type(data_type).string_value(value)
        }
        AttributeValue::Binary { data_type, value } => {
            builder.data_type(data_type).binary_value(Blob::new(value))
        }
    }
    .build()
    .expect("the data type is given")
}

/// The trace header, as the one system attribute that can be sent.
pub(super) fn system_attributes_out(
    message: &mut Outgoing,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let header = message.trace_header.take()?;
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(header)
        .build()
        .expect("the data type is given");
    Some(HashMap::from([(
        MessageSystemAttributeNameForSends::AwsTraceHeader,
        value,
    )]))
}

/// A queue's attributes. What is missing or can't be read has SQS's default.
pub(super) fn queue_attributes<S: BuildHasher>(
    attributes: &HashMap<QueueAttributeName, String, S>,
) -> QueueAttributes {
    let text = |name: QueueAttributeName| attributes.get(&name).map(String::as_str);
    let number = |name: QueueAttributeName| text(name)?.parse::<u64>().ok();
    let secs = |name: QueueAttributeName| number(name).map(Duration::from_secs);
    let is_true = |name: QueueAttributeName| text(name) == Some("true");
    let count = |name: QueueAttributeName| number(name).unwrap_or(0);
    let redrive = text(QueueAttributeName::RedrivePolicy)
        .map(redrive_policy)
        .unwrap_or_default();
    QueueAttributes {
        visibility_timeout: secs(QueueAttributeName::VisibilityTimeout)
            .unwrap_or(QueueAttributes::VISIBILITY_TIMEOUT_DEFAULT),
        is_fifo: is_true(QueueAttributeName::FifoQueue),
        content_deduplication: is_true(QueueAttributeName::ContentBasedDeduplication),
        message_size_max: number(QueueAttributeName::MaximumMessageSize)
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT),
        receives_max: redrive.receives_max,
        dead_letter_arn: redrive.target,
        arn: text(QueueAttributeName::QueueArn).map(str::to_owned),
        retention: secs(QueueAttributeName::MessageRetentionPeriod)
            .unwrap_or(QueueAttributes::RETENTION_DEFAULT),
        delay: secs(QueueAttributeName::DelaySeconds).unwrap_or_default(),
        counts: MessageCounts {
            visible: count(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        },
    }
}

#[derive(Default)]
struct Redrive {
    target: Option<String>,
    receives_max: Option<u32>,
}

/// Reads a redrive policy, whose count may be a number or a text (AWS's own examples have both).
fn redrive_policy(json: &str) -> Redrive {
    let Ok(policy) = serde_json::from_str::<serde_json::Value>(json) else {
        return Redrive::default();
    };
    let receives_max = match &policy["maxReceiveCount"] {
        serde_json::Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    };
    Redrive {
        target: policy["deadLetterTargetArn"].as_str().map(str::to_owned),
        receives_max,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use aws_sdk_sqs::types::{Message, QueueAttributeName};

    use super::{queue_attributes, received};
    use crate::QueueAttributes;

    #[test]
    fn a_message_that_says_nothing_is_a_first_delivery() {
        let message = received(Message::builder().build());
        assert_eq!((message.receive_count, message.body.as_str()), (1, ""));
    }

    #[test]
    fn a_queue_that_says_nothing_has_the_defaults() {
        let nothing: HashMap<QueueAttributeName, String> = HashMap::new();
        assert_eq!(queue_attributes(&nothing), QueueAttributes::default());
    }

    #[test]
    fn redrive_counts_are_numbers_or_texts() {
        let check = |policy: &str, expected: Option<u32>| {
            let all = HashMap::from([
                (QueueAttributeName::RedrivePolicy, policy.to_owned()),
                (QueueAttributeName::VisibilityTimeout, "7".to_owned()),
            ]);
            let attributes = queue_attributes(&all);
            assert_eq!(attributes.receives_max, expected, "{policy}");
            assert_eq!(attributes.visibility_timeout, Duration::from_secs(7));
        };
        check(
            r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":5}"#,
            Some(5),
        );
        check(
            r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":"5"}"#,
            Some(5),
        );
        check(r#"{"deadLetterTargetArn":"arn:x"}"#, None);
        check(r#"{"maxReceiveCount":-1}"#, None);
        check("[]", None);
        check("", None);
    }
}
