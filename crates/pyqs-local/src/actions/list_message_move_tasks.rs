//! `ListMessageMoveTasks`.

use pyqs_broker::limits::MOVE_TASKS_LISTED_MAX;
use pyqs_broker::{MoveStatus, MoveTask};
use serde::{Deserialize, Serialize};

use super::move_handle::MoveHandle;
use super::{Call, ranged};
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    source_arn: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<TaskOutput>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaskOutput {
    /// Only of a running task: nothing can be done with another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: &'static str,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<u32>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    started_timestamp: u64,
}

pub(super) fn handle(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let source_arn = input.source_arn.as_deref();
    let source_arn = source_arn.ok_or(ApiError::missing("SourceArn"))?;
    let reason = "Value for MaxResults must be between 1 and 10.";
    // One, unless asked for more (`ListMessageMoveTasks`).
    let max = ranged("MaxResults", input.max_results, 1..=10, reason)?.unwrap_or(1);
    let max = (max as usize).min(MOVE_TASKS_LISTED_MAX);
    call.engine.look(|broker| {
        let source = call.queue_of_arn(broker, "SourceArn", source_arn)?;
        let output = |task: &MoveTask| {
            let handle = || MoveHandle {
                task_id: broker.move_task_name(task.id),
                source_arn: source_arn.to_owned(),
            };
            let is_running = task.status == MoveStatus::Running;
            let (status, failure_reason) = match task.status {
                MoveStatus::Running => ("RUNNING", None),
                MoveStatus::Completed => ("COMPLETED", None),
                MoveStatus::Cancelled => ("CANCELLED", None),
                MoveStatus::Failed(failure) => ("FAILED", Some(failure.code())),
            };
            TaskOutput {
                task_handle: is_running.then(|| handle().encode()),
                status,
                source_arn: source_arn.to_owned(),
                destination_arn: task.destination_arn.clone(),
                max_number_of_messages_per_second: task.rate,
                approximate_number_of_messages_moved: task.moved,
                approximate_number_of_messages_to_move: task.to_move,
                failure_reason,
                started_timestamp: task.started.as_millis(),
            }
        };
        let results = broker.move_tasks(source).take(max).map(output).collect();
        Ok(Output { results })
    })
}
