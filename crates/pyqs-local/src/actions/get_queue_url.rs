//! `GetQueueUrl`.

use serde::{Deserialize, Serialize};

use super::Call;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    queue_url: String,
}

pub(super) fn handle(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let name = input.queue_name.as_deref();
    let name = name.ok_or(ApiError::missing("QueueName"))?;
    call.engine.look(|broker| {
        broker.check_name(name)?;
        call.check_owner(input.owner.as_deref())?;
        Ok(broker.queue(name)?)
    })?;
    Ok(Output {
        queue_url: call.address.url(name),
    })
}
