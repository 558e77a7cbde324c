//! `RemovePermission`.

use pyqs_broker::Attribute;
use serde::Deserialize;

use super::{Call, Nothing};
use crate::error::ApiError;
use crate::policy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    label: Option<String>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let label = input.label.ok_or(ApiError::missing("Label"))?;
    let remove = call.engine.act(|broker, now| {
        let policy = policy::without(&broker.view(queue)?.record.attributes.policy, &label)?;
        Ok(broker.set_attributes(now, queue, &[Attribute::Policy(policy)])?)
    });
    remove.await?;
    Ok(Nothing {})
}
