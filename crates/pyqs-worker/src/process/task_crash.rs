//! What those who listen to the crashes of tasks are told.

use serde::{Deserialize, Serialize};

use super::outcome::AfterDeath;
use super::task_process::{Exit, Victim};
use crate::arrivals::Held;

/// A task that has ended with its process, as the supervisor tells of it: `pyqs.events.TaskCrashed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskCrash {
    /// The message's logical id.
    pub message_id: String,
    /// The task's name.
    pub task: String,
    /// The name of the message's queue.
    pub queue: String,
    /// How often SQS has delivered the message.
    pub receive_count: u32,
    /// The process that died, where it got that far.
    pub pid: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// What it exited with.
    pub exit_code: Option<i32>,
    /// The limit in seconds that the task had overrun, where the process was killed for that.
    pub time_limit: Option<f64>,
    /// What becomes of the message: `failed`, `retry`, `exhausted` or `dead_letter`.
    pub outcome: String,
    /// Seconds until a retry.
    pub delay: Option<u32>,
    /// The dead-letter queue that the message goes to.
    pub dead_letter: Option<String>,
}

impl TaskCrash {
    pub(crate) fn of(
        victim: &Victim,
        pid: Option<i32>,
        exit: Exit,
        held: &Held,
        queue: &str,
    ) -> Self {
        let (outcome, delay, dead_letter) = match &victim.after_death {
            AfterDeath::Failed => ("failed", None, None),
            AfterDeath::Retry { delay_secs } => ("retry", Some(*delay_secs), None),
            AfterDeath::Exhausted => ("exhausted", None, None),
            AfterDeath::DeadLetter { queue } => ("dead_letter", None, Some(queue.clone())),
        };
        Self {
            message_id: held.message_id.clone(),
            task: held.task.clone(),
            queue: queue.to_owned(),
            receive_count: held.receive_count,
            pid,
            signal: exit.signal,
            exit_code: exit.code,
            time_limit: victim.overran.map(|limit| limit.as_secs_f64()),
            outcome: outcome.to_owned(),
            delay,
            dead_letter,
        }
    }
}
