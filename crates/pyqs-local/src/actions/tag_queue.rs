//! `TagQueue`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Call, Nothing, tags};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let added = input.tags.filter(|tags| !tags.is_empty());
    let added = added.ok_or(ApiError::missing("Tags"))?;
    let tag = call.engine.act(|broker, _| {
        let record = broker.view(queue)?.record;
        tags::check(&record.name, &record.tags, &added)?;
        let added = added.into_iter().map(|(key, value)| (key, Some(value)));
        Ok(broker.set_tags(queue, added)?)
    });
    tag.await?;
    Ok(Nothing {})
}
