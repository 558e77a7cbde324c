//! `ListQueueTags`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    /// Left out when empty, as AWS does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

pub(super) fn handle(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    call.engine.look(|broker| {
        let tags = broker.view(queue)?.record.tags.clone();
        Ok(Output { tags })
    })
}
