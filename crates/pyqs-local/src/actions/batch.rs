//! What all batch actions share: checks of the batch as a whole, and results entry by entry.

use std::collections::BTreeSet;

use pyqs_broker::Fault;
use pyqs_broker::limits::BATCH_MAX;
use serde::Serialize;

use crate::error::{ApiError, BatchError};

/// Characters of an entry's id.
const ID_CHARS_MAX: usize = 80;

/// An entry of a batch.
pub(super) trait Entry {
    /// What it is called in the service model.
    const NAME: &'static str;

    /// Its id within the batch.
    fn id(&self) -> &str;
}

/// The entries of a batch that is right as a whole. Nothing of a wrong one is done.
pub(super) fn checked<E: Entry>(entries: Option<Vec<E>>) -> Result<Vec<E>, ApiError> {
    let entries = entries.unwrap_or_default();
    check(&entries).map_err(ApiError::Batch)?;
    Ok(entries)
}

fn check<E: Entry>(entries: &[E]) -> Result<(), BatchError> {
    let count = entries.len();
    if count == 0 {
        return Err(BatchError::Empty { entry: E::NAME });
    }
    if count > BATCH_MAX as usize {
        return Err(BatchError::TooMany { count });
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut ids = BTreeSet::new();
    for id in entries.iter().map(Entry::id) {
        if !(1..=ID_CHARS_MAX).contains(&id.len()) || !id.chars().all(is_allowed) {
            return Err(BatchError::IdInvalid);
        }
        if !ids.insert(id) {
            return Err(BatchError::IdRepeated { id: id.to_owned() });
        }
    }
    Ok(())
}

/// A batch's results. Both lists are always there: the model says that they are required.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output<S> {
    successful: Vec<S>,
    failed: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    id: String,
    sender_fault: bool,
    code: String,
    message: String,
}

/// The result of an entry that succeeds without saying more.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Success {
    pub(super) id: String,
}

impl<S> Output<S> {
    pub(super) fn of(results: impl IntoIterator<Item = (String, Result<S, ApiError>)>) -> Self {
        let results = results.into_iter();
        let mut output = Self {
            successful: Vec::with_capacity(results.size_hint().0),
            failed: Vec::new(),
        };
        for (id, result) in results {
            match result {
                Ok(success) => output.successful.push(success),
                Err(error) => output.failed.push(Failure {
                    id,
                    sender_fault: error.fault() == Fault::Sender,
                    code: error.query_code(),
                    message: error.message(),
                }),
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry for &str {
        const NAME: &'static str = "Entry";

        fn id(&self) -> &str {
            self
        }
    }

    #[test]
    fn batches_at_the_limit_and_one_beyond() {
        let ids: Vec<_> = (0..11).map(|i| i.to_string()).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        assert_eq!(check(&ids[..10]), Ok(()));
        assert_eq!(check(&ids), Err(BatchError::TooMany { count: 11 }));
        assert_eq!(
            check::<&str>(&[]),
            Err(BatchError::Empty { entry: "Entry" })
        );
        let long = "a".repeat(81);
        assert_eq!(check(&[&long[..80]]), Ok(()));
        assert_eq!(check(&[long.as_str()]), Err(BatchError::IdInvalid));
        assert_eq!(check(&["a b"]), Err(BatchError::IdInvalid));
        assert_eq!(check(&[""]), Err(BatchError::IdInvalid));
        let repeated = BatchError::IdRepeated { id: "a".to_owned() };
        assert_eq!(check(&["a", "b", "a"]), Err(repeated));
    }
}
