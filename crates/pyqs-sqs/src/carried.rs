//! Our own message attributes: what a message must carry beside its body, and keeps when it is
//! sent on.

use std::collections::BTreeMap;

use crate::AttributeValue;

/// The logical id of a message that came by a hop: SQS's id of the first message. A `String`.
pub const ID: &str = "pyqs.id";
/// The task must not run before; milliseconds since 1970. A `Number`.
pub const DUE: &str = "pyqs.due";
/// The task must not run after; milliseconds since 1970. A `Number`. (Celery's messages say it in their body.)
pub const EXPIRES: &str = "pyqs.expires";
/// Runs that a message has had before the hop that made it. A `Number`.
pub const ATTEMPTS: &str = "pyqs.attempts";
/// In a dead-letter queue: why the message is there. A `String`.
pub const REASON: &str = "pyqs.reason";
/// In a dead-letter queue: the name of the queue that the message was in. A `String`.
pub const SOURCE: &str = "pyqs.source";

/// Most attributes of a message (AWS: quotas-messages).
pub const ATTRIBUTES_MAX: usize = 10;

/// As long as the longest id may be that is taken for one.
const ID_BYTES_MAX: usize = 128;

/// What a message's own attributes say. What can't be read counts as not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// See [`ID`].
    pub id: Option<String>,
    /// See [`DUE`].
    pub due_unix_millis: Option<i64>,
    /// See [`EXPIRES`].
    pub expires_unix_millis: Option<i64>,
    /// See [`ATTEMPTS`]; 0 where there are none.
    pub attempts: u32,
}

impl Carried {
    /// Reads them from a message's attributes.
    pub fn read(attributes: &BTreeMap<String, AttributeValue>) -> Self {
        let text = |name: &str| attributes.get(name).and_then(AttributeValue::as_text);
        let millis = |name| text(name).and_then(|millis| millis.parse().ok());
        let id = text(ID).filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX);
        Self {
            id: id.map(str::to_owned),
            due_unix_millis: millis(DUE),
            expires_unix_millis: millis(EXPIRES),
            attempts: text(ATTEMPTS)
                .and_then(|attempts| attempts.parse().ok())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, Carried, DUE, EXPIRES, ID};
    use crate::AttributeValue;

    fn read(attributes: &[(&str, AttributeValue)]) -> Carried {
        let attributes = attributes.iter().cloned();
        Carried::read(
            &attributes
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    #[test]
    fn what_was_written_is_read() {
        let carried = read(&[
            (ID, AttributeValue::text("5f0c")),
            (DUE, AttributeValue::number(1_700_000_000_123_i64)),
            (EXPIRES, AttributeValue::number(1_700_000_009_000_i64)),
            (ATTEMPTS, AttributeValue::number(3)),
            ("other", AttributeValue::text("x")),
        ]);
        let expected = Carried {
            id: Some("5f0c".to_owned()),
            due_unix_millis: Some(1_700_000_000_123),
            expires_unix_millis: Some(1_700_000_009_000),
            attempts: 3,
        };
        assert_eq!(carried, expected);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let carried = read(&[
            (ID, AttributeValue::text("x".repeat(129))),
            (DUE, AttributeValue::text("tomorrow")),
            (EXPIRES, AttributeValue::text("1.5")),
            (ATTEMPTS, AttributeValue::text("-1")),
        ]);
        assert_eq!(carried, Carried::default());
        let bytes = AttributeValue::Binary {
            data_type: "Binary".to_owned(),
            value: b"1".to_vec(),
        };
        assert_eq!(read(&[(DUE, bytes)]), Carried::default());
    }
}
