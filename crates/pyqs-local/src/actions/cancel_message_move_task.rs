//! `CancelMessageMoveTask`.

use serde::{Deserialize, Serialize};

use super::Call;
use super::move_handle::MoveHandle;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    task_handle: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    approximate_number_of_messages_moved: u64,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<Output, ApiError> {
    let handle = input.task_handle.ok_or(ApiError::missing("TaskHandle"))?;
    let handle = MoveHandle::decode(&handle)?;
    let cancel = call.engine.act(|broker, now| {
        let source = call.queue_of_arn(broker, "SourceArn", &handle.source_arn)?;
        Ok(broker.cancel_move_task(now, source, &handle.task_id)?)
    });
    Ok(Output {
        approximate_number_of_messages_moved: cancel.await?,
    })
}
