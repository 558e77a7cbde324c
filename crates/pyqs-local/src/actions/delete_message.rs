//! `DeleteMessage`.

use serde::Deserialize;

use super::{Call, Nothing};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let handle = input
        .receipt_handle
        .ok_or(ApiError::missing("ReceiptHandle"))?;
    let delete = call
        .engine
        .act(|broker, now| Ok(broker.delete(now, queue, &handle)?));
    delete.await?;
    Ok(Nothing {})
}
