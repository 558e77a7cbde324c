//! `SetQueueAttributes`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Call, Nothing};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let attributes = input.attributes.ok_or(ApiError::missing("Attributes"))?;
    let attributes = call.attributes(&attributes)?;
    let set = call
        .engine
        .act(|broker, now| Ok(broker.set_attributes(now, queue, &attributes)?));
    set.await?;
    Ok(Nothing {})
}
