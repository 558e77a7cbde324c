//! `CreateQueue`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Call, tags as rules};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, String>>,
    /// Written in lower case in the model, unlike everything else.
    #[serde(default, rename = "tags", alias = "Tags")]
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    queue_url: String,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Output, ApiError> {
    let name = input.queue_name.ok_or(ApiError::missing("QueueName"))?;
    let attributes = call.attributes(&input.attributes.unwrap_or_default())?;
    let tags = input.tags.unwrap_or_default();
    rules::check(&name, &BTreeMap::new(), &tags)?;
    let create = call.engine.act(|broker, now| {
        let is_new = broker.queue(&name).is_err();
        let queue = broker.create_queue(now, &name, &attributes)?;
        if is_new && !tags.is_empty() {
            let tags = tags.into_iter().map(|(name, value)| (name, Some(value)));
            broker.set_tags(queue, tags)?;
        }
        Ok(())
    });
    create.await?;
    Ok(Output {
        queue_url: call.address.url(&name),
    })
}
