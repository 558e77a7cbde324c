//! `Pointer`: where a message's body is, if it is not in the message.
//!
//! AWS's extended client libraries for SQS store a large body in S3 and send a JSON array of a class's name and where
//! the object is (`PayloadS3Pointer` of awslabs/payload-offloading-java-common-lib-for-aws; before its version 2,
//! `MessageS3Pointer` of awslabs/amazon-sqs-java-extended-client-lib). Python's `pyqs.payloads` writes the same for S3,
//! and an array of its own for other stores.

use std::fmt;

use crate::json::{Dialect, Scanner};
use crate::undecodable::Flaw;
use crate::value::Value;

/// Longer bodies are none: an S3 key has at most 1,024 bytes.
const BYTES_MAX: usize = 8 * 1024;

const S3_CLASSES: [&str; 2] = [
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
];
const OWN_CLASS: &str = "pyqs.PayloadPointer";

/// The message attributes that may say how many bytes the stored body has, as the extended client libraries write them:
/// the present name, and the one before.
pub const SIZE_ATTRIBUTES: [&str; 2] = ["ExtendedPayloadSize", "SQSLargePayloadSize"];

/// Where a body is.
///
/// ```
/// use pyqs_formats::Pointer;
///
/// let body = r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]"#;
/// assert_eq!(Pointer::read(body).unwrap().to_string(), "s3://b/k");
/// assert_eq!(Pointer::read(r#"{"task": "a.b", "args": [], "kwargs": {}}"#), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The store's name; of S3 `s3://` and the bucket.
    pub store: String,
    /// The name of the body there.
    pub key: String,
}

impl Pointer {
    /// The pointer that a message body is, if it is one.
    pub fn read(body: &str) -> Option<Self> {
        if body.len() > BYTES_MAX || !body.trim_start().starts_with('[') {
            return None;
        }
        let Ok(Value::List(parts)) = value(body) else {
            return None;
        };
        let [Value::Str(class), Value::Map(place)] = parts.as_slice() else {
            return None;
        };
        let field = |wanted: &str| {
            let found = place
                .iter()
                .find(|(name, _)| matches!(name, Value::Str(name) if name == wanted))?;
            match &found.1 {
                Value::Str(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            }
        };
        if S3_CLASSES.contains(&class.as_str()) {
            Some(Self {
                store: format!("s3://{}", field("s3BucketName")?),
                key: field("s3Key")?,
            })
        } else if class == OWN_CLASS {
            Some(Self {
                store: field("store")?,
                key: field("key")?,
            })
        } else {
            None
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store, self.key)
    }
}

fn value(body: &str) -> Result<Value, Flaw> {
    let mut scanner = Scanner::new(body, Dialect::Python);
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Pointer};

    fn check(body: &str, expected: Option<&str>) {
        let found = Pointer::read(body).map(|pointer| pointer.to_string());
        assert_eq!(found.as_deref(), expected, "{body}");
    }

    #[test]
    fn all_that_are_written_are_read() {
        let s3 = r#"{"s3BucketName":"bucket","s3Key":"a/0f3e"}"#;
        for class in super::S3_CLASSES {
            check(&format!(r#"["{class}",{s3}]"#), Some("s3://bucket/a/0f3e"));
            check(
                &format!(" [ \"{class}\" , {s3} ] "),
                Some("s3://bucket/a/0f3e"),
            );
        }
        check(
            r#"["pyqs.PayloadPointer", {"store": "file:///var/x", "key": "1.payload", "more": 1}]"#,
            Some("file:///var/x/1.payload"),
        );
    }

    #[test]
    fn all_else_is_none() {
        check("", None);
        check("[", None);
        check("[]", None);
        check(r#"["a.B", {"s3BucketName": "b", "s3Key": "k"}]"#, None);
        check(r#"["pyqs.PayloadPointer", {"store": "s"}]"#, None);
        check(
            r#"["pyqs.PayloadPointer", {"store": "s", "key": ""}]"#,
            None,
        );
        check(r#"["pyqs.PayloadPointer", {"store": 1, "key": "k"}]"#, None);
        check(
            r#"["pyqs.PayloadPointer", {"store": "s", "key": "k"}, 1]"#,
            None,
        );
        check(
            r#"["pyqs.PayloadPointer", {"store": "s", "key": "k"}]x"#,
            None,
        );
        check(&"[".repeat(BYTES_MAX), None);
    }

    #[test]
    fn the_limit_is_inclusive() {
        let around = r#"["pyqs.PayloadPointer", {"store": "s", "key": ""}]"#.len();
        let body = |length: usize| {
            let key = "k".repeat(length - around);
            format!(r#"["pyqs.PayloadPointer", {{"store": "s", "key": "{key}"}}]"#)
        };
        assert!(Pointer::read(&body(BYTES_MAX)).is_some());
        assert!(Pointer::read(&body(BYTES_MAX + 1)).is_none());
    }
}
