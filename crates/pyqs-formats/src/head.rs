//! `Head`: what a worker must know about a task before it runs it.

use crate::calendar::{DateTime, UtcOffset};
use crate::limits::TASK_NAME_BYTES_MAX;
use crate::undecodable::Flaw;

/// The facts about one task, without its arguments.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// Who wrote the message.
    pub format: Format,
    /// The task's name, never empty.
    pub task: String,
    /// The task's id; PyQS's own form has none, Celery's always has.
    pub id: Option<String>,
    /// How many times the task was retried before this message.
    pub retries: u32,
    /// Not to be run before.
    pub eta: Option<Moment>,
    /// Not to be run after.
    pub expires: Option<Moment>,
    /// How long it may run.
    pub time_limit: TimeLimit,
    /// What only Celery's messages say; `None` for [`Format::Native`].
    pub celery: Option<Box<CeleryHead>>,
}

/// The layouts of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `{"task", "args", "kwargs"}`, as PyQS writes it.
    Native,
    /// Celery's protocol 1: the fields are in the payload.
    Celery1,
    /// Celery's protocol 2, and the hybrid of both: the fields are in the headers.
    Celery2,
}

/// A time as the message gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The text in the message, ISO 8601.
    pub text: String,
    /// The same, read. Without an offset it is in the sender's local time where
    /// [`CeleryHead::is_utc`] is false, else in UTC.
    pub at: DateTime,
}

impl Moment {
    /// Milliseconds since 1970. A time without an offset is taken for UTC: where the sender was is
    /// not said.
    pub fn unix_millis(&self) -> i64 {
        let time = self.at.time;
        let offset = time.offset.unwrap_or(UtcOffset {
            seconds: 0,
            micros: 0,
        });
        let clock = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60;
        let secs = self.at.date.unix_days() * 86_400 + clock + i64::from(time.second)
            - i64::from(offset.seconds);
        secs * 1000 + (i64::from(time.micros) - i64::from(offset.micros)).div_euclid(1000)
    }
}

/// Celery's time limits, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TimeLimit {
    /// After this long the task is killed.
    pub hard_secs: Option<f64>,
    /// After this long the task is told to stop.
    pub soft_secs: Option<f64>,
}

/// What Celery's messages say besides.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct CeleryHead {
    /// `root_id`: the first task of the workflow.
    pub root_id: Option<String>,
    /// `parent_id`: the task that sent this one.
    pub parent_id: Option<String>,
    /// `group`, in old messages `taskset`: the id of the group that it is a member of.
    pub group: Option<String>,
    /// `shadow`: the name to show in place of the task's.
    pub shadow: Option<String>,
    /// `origin`: the process that sent it.
    pub origin: Option<String>,
    /// `ignore_result` is true.
    pub ignores_result: bool,
    /// `utc`: whether times without an offset are in UTC. Protocol 2 has no such field: true.
    pub is_utc: bool,
    /// `properties.reply_to`: the queue that waits for the result.
    pub reply_to: Option<String>,
    /// `properties.correlation_id`.
    pub correlation_id: Option<String>,
    /// `properties.delivery_info.exchange`; empty is the default exchange.
    pub exchange: Option<String>,
    /// `properties.delivery_info.routing_key`: the queue's name before SQS's rules changed it.
    pub routing_key: Option<String>,
    /// `properties.priority`, else that of `delivery_info`.
    pub priority: Option<i64>,
    /// `content-type`: the payload's serializer.
    pub content_type: String,
    /// `headers.compression`.
    pub compression: Option<String>,
}

/// A task's name, if it can be one.
pub(crate) fn task_name(name: String) -> Result<String, Flaw> {
    if name.trim().is_empty() {
        return Err(Flaw::malformed("the task's name is empty"));
    }
    if name.len() > TASK_NAME_BYTES_MAX {
        let reason = format!(
            "a task's name of {} bytes, the limit is {TASK_NAME_BYTES_MAX}",
            name.len()
        );
        return Err(Flaw::over_limit(reason));
    }
    Ok(name)
}
