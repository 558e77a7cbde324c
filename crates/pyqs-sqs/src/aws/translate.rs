//! From the SDK's types to ours.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;

use crate::{MessageCounts, QueueAttributes};

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

    use aws_sdk_sqs::types::QueueAttributeName;

    use super::queue_attributes;
    use crate::QueueAttributes;

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
