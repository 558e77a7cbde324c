//! `TagQueue`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Call, Nothing};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let tags = input.tags.ok_or(ApiError::missing("Tags"))?;
    let tags = tags.into_iter().map(|(name, value)| (name, Some(value)));
    let tag = call
        .engine
        .act(|broker, _| Ok(broker.set_tags(queue, tags)?));
    tag.await?;
    Ok(Nothing {})
}
