//! Which tags a queue may have (AWS: quotas-queues).

use std::collections::BTreeMap;

use crate::error::ApiError;

/// Tags of one queue.
const TAGS_MAX: usize = 50;
/// Characters of a tag's key.
const KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
const VALUE_CHARS_MAX: usize = 256;

/// Tags to add to a queue of that name, which has `present`.
pub(super) fn check(
    queue: &str,
    present: &BTreeMap<String, String>,
    added: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    check_keys(added.keys())?;
    if let Some(key) = added.keys().find(|key| key.starts_with("aws:")) {
        return Err(ApiError::invalid(format!(
            "Tag key {key} is invalid: keys that begin with aws: are AWS's own."
        )));
    }
    let is_long = |value: &String| value.chars().count() > VALUE_CHARS_MAX;
    if added.values().any(is_long) {
        return Err(ApiError::invalid(format!(
            "Tag values must be between 0 and {VALUE_CHARS_MAX} characters in length."
        )));
    }
    let new = added.keys().filter(|key| !present.contains_key(*key));
    if present.len() + new.count() > TAGS_MAX {
        return Err(ApiError::invalid(format!(
            "Too many tags added for queue {queue}."
        )));
    }
    Ok(())
}

/// Keys of tags, where there are any.
pub(super) fn check_keys<'a>(keys: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
    let is_right = |key: &String| (1..=KEY_CHARS_MAX).contains(&key.chars().count());
    if keys.into_iter().all(is_right) {
        return Ok(());
    }
    Err(keys_refused())
}

/// The refusal of keys that are too short, too long, or not there.
pub(super) fn keys_refused() -> ApiError {
    ApiError::invalid(format!(
        "Tag keys must be between 1 and {KEY_CHARS_MAX} characters in length."
    ))
}
