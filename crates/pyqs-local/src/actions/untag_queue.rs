//! `UntagQueue`.

use serde::Deserialize;

use super::{Call, Nothing, tags};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    tag_keys: Option<Vec<String>>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let names = input.tag_keys.ok_or(ApiError::missing("TagKeys"))?;
    if names.is_empty() {
        return Err(tags::keys_refused());
    }
    tags::check_keys(&names)?;
    let tags = names.into_iter().map(|name| (name, None));
    let untag = call
        .engine
        .act(|broker, _| Ok(broker.set_tags(queue, tags)?));
    untag.await?;
    Ok(Nothing {})
}
