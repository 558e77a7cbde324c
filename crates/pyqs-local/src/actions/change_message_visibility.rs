//! `ChangeMessageVisibility`.

use serde::Deserialize;

use super::{Call, Nothing, ranged};
use crate::error::ApiError;
use pyqs_broker::limits::VISIBILITY_SECS_MAX;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let handle = input
        .receipt_handle
        .ok_or(ApiError::missing("ReceiptHandle"))?;
    let secs = visibility_secs(input.visibility_timeout)?;
    let change = call
        .engine
        .act(|broker, now| Ok(broker.change_visibility(now, queue, &handle, secs)?));
    change.await?;
    Ok(Nothing {})
}

/// The seconds of a `VisibilityTimeout` that must be there.
pub(super) fn visibility_secs(value: Option<i64>) -> Result<u32, ApiError> {
    let reason = "Must be between 0 and 43200, if provided.";
    ranged("VisibilityTimeout", value, 0..=VISIBILITY_SECS_MAX, reason)?
        .ok_or(ApiError::missing("VisibilityTimeout"))
}
