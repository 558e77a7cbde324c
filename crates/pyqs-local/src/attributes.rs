//! Queue attributes as text: on the wire, and in the store.

use std::collections::BTreeMap;

use pyqs_broker::{
    Attribute, DeduplicationScope, Error, FifoThroughputLimit, QueueAttributes, RedriveAllow,
    RedrivePolicy,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One attribute from its name and text.
pub(crate) fn parse(name: &str, text: &str) -> Result<Attribute, Error> {
    Ok(match name {
        "DelaySeconds" => Attribute::DelaySeconds(number("DelaySeconds", text)?),
        "MaximumMessageSize" => Attribute::MaximumMessageSize(number("MaximumMessageSize", text)?),
        "MessageRetentionPeriod" => {
            Attribute::MessageRetentionPeriod(number("MessageRetentionPeriod", text)?)
        }
        "ReceiveMessageWaitTimeSeconds" => {
            Attribute::ReceiveMessageWaitTimeSeconds(number("ReceiveMessageWaitTimeSeconds", text)?)
        }
        "VisibilityTimeout" => Attribute::VisibilityTimeout(number("VisibilityTimeout", text)?),
        "RedrivePolicy" => Attribute::RedrivePolicy(redrive_policy(text)?),
        "RedriveAllowPolicy" => Attribute::RedriveAllowPolicy(redrive_allow(text)?),
        "ContentBasedDeduplication" => {
            Attribute::ContentBasedDeduplication(boolean("ContentBasedDeduplication", text)?)
        }
        "DeduplicationScope" => Attribute::DeduplicationScope(match text {
            "queue" => DeduplicationScope::Queue,
            "messageGroup" => DeduplicationScope::MessageGroup,
            _ => return Err(invalid("DeduplicationScope", text, "")),
        }),
        "FifoThroughputLimit" => Attribute::FifoThroughputLimit(match text {
            "perQueue" => FifoThroughputLimit::PerQueue,
            "perMessageGroupId" => FifoThroughputLimit::PerMessageGroupId,
            _ => return Err(invalid("FifoThroughputLimit", text, "")),
        }),
        "FifoQueue" => Attribute::FifoQueue(boolean("FifoQueue", text)?),
        "Policy" => Attribute::Policy(policy(text)?),
        "KmsMasterKeyId" => Attribute::KmsMasterKeyId(text.to_owned()),
        "KmsDataKeyReusePeriodSeconds" => {
            Attribute::KmsDataKeyReusePeriodSeconds(number("KmsDataKeyReusePeriodSeconds", text)?)
        }
        "SqsManagedSseEnabled" => {
            Attribute::SqsManagedSseEnabled(boolean("SqsManagedSseEnabled", text)?)
        }
        _ => {
            return Err(Error::InvalidAttributeName {
                attribute: name.to_owned(),
            });
        }
    })
}

/// All of these attributes, or the first refusal.
pub(crate) fn parse_all(texts: &BTreeMap<String, String>) -> Result<Vec<Attribute>, Error> {
    texts.iter().map(|(name, text)| parse(name, text)).collect()
}

/// Whether there is an attribute of that name that can be set.
pub(crate) fn is_name(name: &str) -> bool {
    // Only the name decides on this refusal.
    !matches!(parse(name, ""), Err(Error::InvalidAttributeName { .. }))
}

/// All attributes that a queue has, by name; those that were never set and have no default are
/// left out, as AWS does.
pub(crate) fn render(attributes: &QueueAttributes) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("VisibilityTimeout", attributes.visibility_secs.to_string()),
        (
            "MaximumMessageSize",
            attributes.message_bytes_max.to_string(),
        ),
        (
            "MessageRetentionPeriod",
            attributes.retention_secs.to_string(),
        ),
        ("DelaySeconds", attributes.delay_secs.to_string()),
        (
            "ReceiveMessageWaitTimeSeconds",
            attributes.wait_secs.to_string(),
        ),
        (
            "SqsManagedSseEnabled",
            attributes.is_sse_managed.to_string(),
        ),
    ];
    if let Some(policy) = &attributes.redrive {
        let text = redrive_text(&policy.dead_letter_arn, policy.receives_max);
        all.push(("RedrivePolicy", text));
    }
    if let Some(allow) = &attributes.redrive_allow {
        all.push(("RedriveAllowPolicy", render_allow(allow)));
    }
    if !attributes.policy.is_empty() {
        all.push(("Policy", attributes.policy.clone()));
    }
    if !attributes.kms_master_key_id.is_empty() {
        let reuse_secs = attributes.kms_data_key_reuse_secs.to_string();
        all.push(("KmsMasterKeyId", attributes.kms_master_key_id.clone()));
        all.push(("KmsDataKeyReusePeriodSeconds", reuse_secs));
    }
    if attributes.is_fifo {
        let by_content = attributes.deduplicates_by_content.to_string();
        let scope = match attributes.deduplication_scope {
            DeduplicationScope::Queue => "queue",
            DeduplicationScope::MessageGroup => "messageGroup",
        };
        let limit = match attributes.fifo_throughput_limit {
            FifoThroughputLimit::PerQueue => "perQueue",
            FifoThroughputLimit::PerMessageGroupId => "perMessageGroupId",
        };
        all.push(("FifoQueue", "true".to_owned()));
        all.push(("ContentBasedDeduplication", by_content));
        all.push(("DeduplicationScope", scope.to_owned()));
        all.push(("FifoThroughputLimit", limit.to_owned()));
    }
    all
}

/// An access policy: any JSON object, since nothing here reads it but what writes permissions.
/// Empty takes it away.
fn policy(text: &str) -> Result<String, Error> {
    if text.is_empty() || serde_json::from_str::<Map<String, Value>>(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(invalid("Policy", text, ""))
}

/// What AWS answers for a redrive policy. It takes the count as a number or as text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedriveText<'a> {
    dead_letter_target_arn: &'a str,
    max_receive_count: u32,
}

fn redrive_policy(text: &str) -> Result<Option<RedrivePolicy>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |reason: &str| Error::InvalidParameterValue {
        message: format!("Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"),
    };
    let missing = |name| {
        refused(&format!(
            "Redrive policy does not contain mandatory attribute: {name}."
        ))
    };
    let policy: Map<String, Value> = serde_json::from_str(text)
        .map_err(|_| refused("Redrive policy is not a valid JSON map."))?;
    let arn = policy.get("deadLetterTargetArn");
    let arn = arn.ok_or_else(|| missing("deadLetterTargetArn"))?;
    let count = policy.get("maxReceiveCount");
    let count = count.ok_or_else(|| missing("maxReceiveCount"))?;
    let receives_max = match count {
        Value::String(text) => text.parse().ok(),
        count => count.as_u64(),
    };
    let receives_max = receives_max.filter(|count| (1..=1000).contains(count));
    let receives_max = receives_max.and_then(|count| u32::try_from(count).ok());
    let receives_max = receives_max.ok_or_else(|| {
        refused(&format!(
            "Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both \
             inclusive."
        ))
    })?;
    let arn = arn.as_str().unwrap_or_default();
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "sqs", _, _, _] => Ok(Some(RedrivePolicy {
            dead_letter_arn: arn.to_owned(),
            receives_max,
        })),
        ["arn", _, _, _, _, _] => Err(refused(
            "Only SQS queues are valid resources for deadLetterTargetArn.",
        )),
        _ => Err(refused("Invalid value for deadLetterTargetArn.")),
    }
}

/// A redrive policy's text.
pub(crate) fn redrive_text(dead_letter_arn: &str, receives_max: u32) -> String {
    let text = RedriveText {
        dead_letter_target_arn: dead_letter_arn,
        max_receive_count: receives_max,
    };
    serde_json::to_string(&text).expect("a struct of text and number is always JSON")
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AllowText {
    redrive_permission: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    source_queue_arns: Vec<String>,
}

fn redrive_allow(text: &str) -> Result<Option<RedriveAllow>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |reason| invalid("RedriveAllowPolicy", text, reason);
    let allow: AllowText = serde_json::from_str(text)
        .map_err(|_| invalid("Redrive allow policy is not a valid JSON map."))?;
    let arns = allow.source_queue_arns;
    match (allow.redrive_permission.as_str(), arns.len()) {
        ("allowAll", 0) => Ok(Some(RedriveAllow::AllowAll)),
        ("denyAll", 0) => Ok(Some(RedriveAllow::DenyAll)),
        // Ten at most (model: `CreateQueue`).
        ("byQueue", 1..=10) => Ok(Some(RedriveAllow::ByQueue(arns))),
        _ => Err(invalid(
            "redrivePermission and sourceQueueArns don't fit together.",
        )),
    }
}

fn render_allow(allow: &RedriveAllow) -> String {
    let (permission, source_queue_arns) = match allow {
        RedriveAllow::AllowAll => ("allowAll", Vec::new()),
        RedriveAllow::DenyAll => ("denyAll", Vec::new()),
        RedriveAllow::ByQueue(arns) => ("byQueue", arns.clone()),
    };
    let text = AllowText {
        redrive_permission: permission.to_owned(),
        source_queue_arns,
    };
    serde_json::to_string(&text).expect("a struct of texts is always JSON")
}

fn number(attribute: &'static str, text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| invalid(attribute, text, ""))
}

fn boolean(attribute: &'static str, text: &str) -> Result<bool, Error> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(attribute, text, "")),
    }
}

fn invalid(attribute: &'static str, value: &str, reason: &'static str) -> Error {
    Error::InvalidAttributeValue {
        attribute,
        value: value.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_can_be_parsed_again() {
        let mut attributes = QueueAttributes::defaults(true);
        for (name, text) in [
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":3}"#,
            ),
            (
                "RedriveAllowPolicy",
                r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:a"]}"#,
            ),
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"),
            ("KmsMasterKeyId", "alias/aws/sqs"),
            ("Policy", "{}"),
        ] {
            attributes.set(&parse(name, text).unwrap()).unwrap();
        }
        let mut again = QueueAttributes::defaults(true);
        for (name, text) in render(&attributes) {
            again.set(&parse(name, &text).unwrap()).unwrap();
        }
        assert_eq!(again, attributes);
    }

    #[test]
    fn counts_in_redrive_policies_may_be_text() {
        let text = r#"{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":"3"}"#;
        let Ok(Attribute::RedrivePolicy(Some(policy))) = parse("RedrivePolicy", text) else {
            panic!("refused");
        };
        assert_eq!(
            (policy.receives_max, policy.dead_letter_name()),
            (3, "dead")
        );
        assert_eq!(
            parse("RedrivePolicy", "").unwrap(),
            Attribute::RedrivePolicy(None)
        );
    }

    #[test]
    fn hostile_values_are_refused() {
        for (name, text) in [
            ("VisibilityTimeout", "-1"),
            ("VisibilityTimeout", "99999999999"),
            ("VisibilityTimeout", ""),
            ("RedrivePolicy", "[]"),
            ("RedrivePolicy", "{"),
            ("RedrivePolicy", "{}"),
            ("Policy", "x"),
            ("Policy", "[]"),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"arn:aws:sns:r:1:dead","maxReceiveCount":3}"#,
            ),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":["arn"],"maxReceiveCount":1e9}"#,
            ),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"dead","maxReceiveCount":3}"#,
            ),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"byQueue"}"#),
            ("FifoQueue", "yes"),
            ("QueueArn", "x"),
        ] {
            assert!(parse(name, text).is_err(), "{name}={text}");
        }
    }
}
