//! How tasks end.

use pyqs_core::Outcome;
use serde::{Deserialize, Serialize};

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskOutcome {
    /// The function returned.
    Succeeded,
    /// The function returned, and messages are to be sent before its own is deleted.
    SucceededWithCallbacks,
    /// The function raised.
    Failed,
    /// The function raised, and is to run again after so many seconds.
    Retry {
        /// Counted from now.
        delay_secs: u32,
    },
    /// The function raised after its last retry, and there is nowhere to send its message to.
    Exhausted,
    /// The function raised, and its message is to go where [`super::wire::DeadLetter`] says.
    DeadLetter,
    /// The function raised for good, and messages are to be sent in place of its own.
    FailedWithErrbacks,
    /// Nothing is to come of the message.
    Discarded,
    /// It was not run, and is not to be for so many seconds: its work is under way elsewhere, or what it needs is out
    /// of reach.
    Postponed {
        /// Counted from now.
        delay_secs: u32,
    },
    /// There is nothing to run: an unknown or refused task, or arguments that can't be decoded.
    Unrunnable,
    /// The lease had lapsed before the task began; it was left alone.
    NotStarted,
    /// A run of several messages has ended, and what becomes of each was said before
    /// (`FromProcess::Each` on the wire).
    Each,
}

/// What becomes of a message whose task ends with its process, which then can't say it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterDeath {
    /// It is left to its queue's visibility timeout.
    #[default]
    Failed,
    /// It is to run again after so many seconds.
    Retry {
        /// Counted from the death.
        delay_secs: u32,
    },
    /// No retry is left, and there is nowhere to send it to.
    Exhausted,
    /// It is to go to a dead-letter queue.
    DeadLetter {
        /// That queue's name.
        queue: String,
    },
}

impl AfterDeath {
    /// As an outcome.
    pub(crate) fn outcome(&self) -> TaskOutcome {
        match *self {
            Self::Failed => TaskOutcome::Failed,
            Self::Retry { delay_secs } => TaskOutcome::Retry { delay_secs },
            Self::Exhausted => TaskOutcome::Exhausted,
            Self::DeadLetter { .. } => TaskOutcome::DeadLetter,
        }
    }
}

impl TaskOutcome {
    /// Whether the message is done with, so that those behind it in its message group may be.
    pub(crate) fn is_done(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::SucceededWithCallbacks | Self::Discarded
        )
    }

    /// Whether the manager must have been told more before it can go by this.
    pub(crate) fn is_announced(self) -> bool {
        matches!(
            self,
            Self::DeadLetter | Self::SucceededWithCallbacks | Self::FailedWithErrbacks | Self::Each
        )
    }
}

impl From<TaskOutcome> for Outcome {
    fn from(outcome: TaskOutcome) -> Self {
        match outcome {
            TaskOutcome::Succeeded => Self::Succeeded,
            // Of which nothing is known: a process that writes at random.
            TaskOutcome::Failed | TaskOutcome::Each => Self::Failed,
            TaskOutcome::Unrunnable => Self::Unrunnable,
            TaskOutcome::NotStarted => Self::NotStarted,
            TaskOutcome::Retry { delay_secs } => Self::Retry {
                delay: std::time::Duration::from_secs(delay_secs.into()),
            },
            TaskOutcome::Postponed { delay_secs } => Self::Postponed {
                delay: std::time::Duration::from_secs(delay_secs.into()),
            },
            TaskOutcome::Exhausted => Self::Exhausted,
            TaskOutcome::DeadLetter => Self::DeadLetter,
            TaskOutcome::Discarded => Self::Discarded,
            TaskOutcome::SucceededWithCallbacks => Self::SucceededWithCallbacks,
            TaskOutcome::FailedWithErrbacks => Self::FailedWithErrbacks,
        }
    }
}

/// A code above zero, and the delay where the outcome has one.
pub(super) fn pack_outcome(outcome: TaskOutcome) -> (u64, u32) {
    match outcome {
        TaskOutcome::Succeeded => (1, 0),
        TaskOutcome::Failed => (2, 0),
        TaskOutcome::Unrunnable => (3, 0),
        TaskOutcome::NotStarted => (4, 0),
        TaskOutcome::Retry { delay_secs } => (5, delay_secs),
        TaskOutcome::Exhausted => (6, 0),
        TaskOutcome::DeadLetter => (7, 0),
        TaskOutcome::Discarded => (8, 0),
        TaskOutcome::SucceededWithCallbacks => (9, 0),
        TaskOutcome::FailedWithErrbacks => (10, 0),
        TaskOutcome::Each => (11, 0),
        TaskOutcome::Postponed { delay_secs } => (12, delay_secs),
    }
}

/// The outcome of such a code; none for what no process of ours can have written.
pub(super) fn unpack_outcome(code: u64, delay_secs: u32) -> Option<TaskOutcome> {
    Some(match code {
        1 => TaskOutcome::Succeeded,
        2 => TaskOutcome::Failed,
        3 => TaskOutcome::Unrunnable,
        4 => TaskOutcome::NotStarted,
        5 => TaskOutcome::Retry { delay_secs },
        6 => TaskOutcome::Exhausted,
        7 => TaskOutcome::DeadLetter,
        8 => TaskOutcome::Discarded,
        9 => TaskOutcome::SucceededWithCallbacks,
        10 => TaskOutcome::FailedWithErrbacks,
        11 => TaskOutcome::Each,
        12 => TaskOutcome::Postponed { delay_secs },
        _ => return None,
    })
}
