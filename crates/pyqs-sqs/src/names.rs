//! Queue names: what PyQS calls a queue, and what SQS does.
//!
//! PyQS names a queue after its task by default (`email.tasks.send_email`), which SQS refuses for
//! its dots. Such a name is used as it is where the endpoint has that queue, else with dashes.

use std::borrow::Cow;

use crate::{Failure, QueueUrl, Sqs, SqsError};

/// The longest name of a queue, `.fifo` counted (SQS API: `CreateQueue`).
pub const NAME_LENGTH_MAX: usize = 80;

/// The end of a FIFO queue's name, the only place where SQS allows a dot.
const FIFO: &str = ".fifo";

/// Why a name can't be made into one of SQS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no name.
    #[error("a queue's name can't be empty")]
    Empty,
    /// SQS allows no more than 80 characters.
    #[error(
        "the queue name \"{name}\" has {length} characters, SQS allows {NAME_LENGTH_MAX}; give \
         the task a shorter one, as in @task(queue=\"short\")"
    )]
    TooLong {
        /// The name, dashed.
        name: String,
        /// Its characters.
        length: usize,
    },
    /// SQS allows letters, digits, `-` and `_`.
    #[error(
        "the queue name \"{name}\" has the character {found:?}; SQS allows letters, digits, - and \
         _, and .fifo at the end"
    )]
    Character {
        /// The name as given.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

/// The name that SQS takes for this one: dots become dashes, a `.fifo` at the end stays.
///
/// ```
/// use pyqs_sqs::names::sqs_name;
/// assert_eq!(sqs_name("email.tasks.send").unwrap(), "email-tasks-send");
/// assert_eq!(sqs_name("orders.eu.fifo").unwrap(), "orders-eu.fifo");
/// ```
pub fn sqs_name(name: &str) -> Result<Cow<'_, str>, NameError> {
    let dashed = dashed(name);
    let stem = dashed.strip_suffix(FIFO).unwrap_or(&dashed);
    if stem.is_empty() {
        return Err(NameError::Empty);
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if let Some(found) = stem.chars().find(|&c| !is_allowed(c)) {
        return Err(NameError::Character {
            name: name.to_owned(),
            found,
        });
    }
    if dashed.len() > NAME_LENGTH_MAX {
        let length = dashed.len();
        return Err(NameError::TooLong {
            name: dashed.into_owned(),
            length,
        });
    }
    Ok(dashed)
}

/// The name that kombu, the transport of Celery's, gives a queue in SQS: `-` for `.`, `_` for every other ASCII
/// punctuation but `-` and `_`; a `.fifo` at the end stays.
///
/// ```
/// use pyqs_sqs::names::kombu_name;
/// assert_eq!(kombu_name("shop.orders@eu.fifo"), "shop-orders_eu.fifo");
/// ```
pub fn kombu_name(name: &str) -> String {
    let (stem, end) = match name.strip_suffix(FIFO) {
        Some(stem) => (stem, FIFO),
        None => (name, ""),
    };
    let replaced = stem.chars().map(|c| match c {
        '.' => '-',
        '-' | '_' => c,
        c if c.is_ascii_punctuation() => '_',
        c => c,
    });
    replaced.chain(end.chars()).collect()
}

/// The queue of this name: as it is where there is one, else dashed. [`SqsError::QueueMissing`]
/// when there is neither. The URL's name tells which it was.
pub async fn resolve(sqs: &(impl Sqs + ?Sized), name: &str) -> Result<QueueUrl, SqsError> {
    let missing = match sqs.queue_url(name).await {
        Err(SqsError::QueueMissing(failure)) => failure,
        found_or_failed => return found_or_failed,
    };
    match sqs_name(name) {
        Ok(dashed) if dashed != name => match sqs.queue_url(&dashed).await {
            // The name that the user knows is the one to tell.
            Err(SqsError::QueueMissing(_)) => Err(SqsError::QueueMissing(missing)),
            found_or_failed => found_or_failed,
        },
        Ok(_) => Err(SqsError::QueueMissing(missing)),
        Err(error) => {
            let reason = error.to_string();
            Err(SqsError::QueueMissing(Box::new(Failure {
                reason,
                code: None,
                ..*missing
            })))
        }
    }
}

/// Whether this is the name of a FIFO queue.
pub fn is_fifo(name: &str) -> bool {
    name.strip_suffix(FIFO).is_some()
}

/// With `-` for every `.`, but for a `.fifo` at the end.
fn dashed(name: &str) -> Cow<'_, str> {
    let (stem, end) = match name.strip_suffix(FIFO) {
        Some(stem) => (stem, FIFO),
        None => (name, ""),
    };
    if stem.contains('.') {
        Cow::Owned(stem.replace('.', "-") + end)
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NAME_LENGTH_MAX, NameError, sqs_name};

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(sqs_name(name).as_deref(), Ok(expected));
    }

    #[test]
    fn dots_become_dashes_but_for_fifo_at_the_end() {
        check("email", "email");
        check("email_A-1", "email_A-1");
        check("email.tasks.send_email", "email-tasks-send_email");
        check("a.fifo", "a.fifo");
        check("a.b.fifo", "a-b.fifo");
        check("a.fifo.b", "a-fifo-b");
        check("a.fifo.fifo", "a-fifo.fifo");
        check("__main__.f", "__main__-f");
    }

    #[test]
    fn what_sqs_can_not_take_is_an_error() {
        let check = |name: &str, part: &str| {
            let error = sqs_name(name).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("", "empty");
        check(".fifo", "empty");
        check("a b", "' '");
        check("a/b", "'/'");
        check("größe", "'ö'");
    }

    #[test]
    fn eighty_characters_are_the_limit() {
        assert!(sqs_name(&"a".repeat(NAME_LENGTH_MAX)).is_ok());
        let error = sqs_name(&"a".repeat(NAME_LENGTH_MAX + 1)).unwrap_err();
        assert!(
            matches!(error, NameError::TooLong { length: 81, .. }),
            "{error:?}"
        );

        let fifo = |length: usize| "a".repeat(length - ".fifo".len()) + ".fifo";
        assert!(sqs_name(&fifo(NAME_LENGTH_MAX)).is_ok());
        assert!(sqs_name(&fifo(NAME_LENGTH_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn a_name_of_sqs_stays_as_it_is(name in any::<String>()) {
            if let Ok(once) = sqs_name(&name) {
                let twice = sqs_name(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }
    }
}
