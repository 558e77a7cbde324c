//! `StartMessageMoveTask`.

use serde::{Deserialize, Serialize};

use super::move_handle::MoveHandle;
use super::{Call, ranged};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    task_handle: String,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Output, ApiError> {
    let source_arn = input.source_arn.ok_or(ApiError::missing("SourceArn"))?;
    // The broker knows the range; this is only about what is no such number at all.
    let rate = ranged(
        "MaxNumberOfMessagesPerSecond",
        input.max_number_of_messages_per_second,
        0..=u32::MAX,
        "Must be between 1 and 500, if provided.",
    )?;
    let start = call.engine.act(|broker, now| {
        let source = call.queue_of_arn(broker, "SourceArn", &source_arn)?;
        let destination = input.destination_arn.as_deref();
        if let Some(arn) = destination {
            call.queue_of_arn(broker, "DestinationArn", arn)?;
        }
        let id = broker.start_move_task(now, source, destination, rate)?;
        Ok(broker.move_task_name(id))
    });
    let task_id = start.await?;
    let handle = MoveHandle {
        task_id,
        source_arn,
    };
    Ok(Output {
        task_handle: handle.encode(),
    })
}
