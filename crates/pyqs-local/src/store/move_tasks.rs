//! Move tasks in the data file.

use pyqs_broker::{Change, MoveFailure, MoveStatus, MoveTask, MoveTaskId, QueueId};
use rusqlite::{Row, Transaction, params};

use super::StoreError;
use super::sqlite::{damaged, millis, signed, timestamp, unsigned};
use crate::content::Body;

pub(super) fn store(transaction: &Transaction<'_>, task: &MoveTask) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO move_tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![
        signed(task.id.0),
        signed(task.source.0),
        task.destination_arn,
        task.rate,
        millis(task.started),
        signed(task.to_move),
        signed(task.moved),
        status_text(task.status),
    ])?;
    Ok(())
}

pub(super) fn forget(transaction: &Transaction<'_>, id: MoveTaskId) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM move_tasks WHERE id = ?", [signed(id.0)])?;
    Ok(())
}

pub(super) fn forget_queue(
    transaction: &Transaction<'_>,
    queue: QueueId,
) -> Result<(), StoreError> {
    let queue = [signed(queue.0)];
    transaction.execute("DELETE FROM move_tasks WHERE queue = ?", queue)?;
    Ok(())
}

pub(super) fn read(row: &Row<'_>) -> Result<Change<Body>, StoreError> {
    let status: String = row.get("status")?;
    Ok(Change::MoveTaskStored(Box::new(MoveTask {
        id: MoveTaskId(unsigned(row.get("id")?)?),
        source: QueueId(unsigned(row.get("queue")?)?),
        destination_arn: row.get("destination_arn")?,
        rate: row.get("rate")?,
        started: timestamp(row.get("started")?)?,
        to_move: unsigned(row.get("to_move")?)?,
        moved: unsigned(row.get("moved")?)?,
        status: status_of(&status)
            .ok_or_else(|| damaged(format!("a move task's status is {status}")))?,
    })))
}

/// The status, or the reason of a failure: both in AWS's words.
fn status_text(status: MoveStatus) -> &'static str {
    match status {
        MoveStatus::Running => "RUNNING",
        MoveStatus::Completed => "COMPLETED",
        MoveStatus::Cancelled => "CANCELLED",
        MoveStatus::Failed(failure) => failure.code(),
    }
}

fn status_of(text: &str) -> Option<MoveStatus> {
    [
        MoveStatus::Running,
        MoveStatus::Completed,
        MoveStatus::Cancelled,
        MoveStatus::Failed(MoveFailure::SourceUnknown),
        MoveStatus::Failed(MoveFailure::QueueMissing),
    ]
    .into_iter()
    .find(|status| status_text(*status) == text)
}
