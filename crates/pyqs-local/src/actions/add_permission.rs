//! `AddPermission`.

use pyqs_broker::Attribute;
use serde::Deserialize;

use super::{Call, Nothing};
use crate::error::ApiError;
use crate::policy::{self, Permission};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    label: Option<String>,
    #[serde(rename = "AWSAccountIds", default)]
    accounts: Vec<String>,
    #[serde(default)]
    actions: Vec<String>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Nothing, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let label = input.label.ok_or(ApiError::missing("Label"))?;
    let permission = Permission {
        label: &label,
        accounts: &input.accounts,
        actions: &input.actions,
    };
    let add = call.engine.act(|broker, now| {
        let record = broker.view(queue)?.record;
        let arn = call.address.arn(&record.name);
        let policy = policy::with(&record.attributes.policy, &arn, &permission)?;
        Ok(broker.set_attributes(now, queue, &[Attribute::Policy(policy)])?)
    });
    add.await?;
    Ok(Nothing {})
}
