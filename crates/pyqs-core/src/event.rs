//! What the driver tells the core.

use std::time::Duration;

use crate::limiter::TaskLimits;
use crate::message::{
    Arrival, MessageId, MessageKey, PollId, ProcessId, QueueAttributes, QueueId, RequestId, Share,
    TaskKind,
};
use crate::time::Instant;

/// Something that happened outside.
///
/// Every request that an [`Action`](crate::Action) asked for must come back as an event, once,
/// also when it failed. Events about things that the core does not know (any more) are harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tick, or the wake-up that was asked for. Always harmless.
    Timer,
    /// A queue to work on was found. Known ones are left as they are.
    QueueAdded {
        /// The driver's number for it.
        queue: QueueId,
        /// What SQS says of it.
        attributes: QueueAttributes,
        /// What the user says of it.
        share: Share,
    },
    /// All queues that there are at the start have been added. A [burst](crate::Settings::burst) does not end before.
    QueuesListed,
    /// A task that was not met before on one of its queues, of which it will be told what limits it: until then one of
    /// it runs at a time. A task that has ended and was told nothing of has no limits.
    TaskUndeclared {
        /// All of its kinds, one for each queue on which it was met.
        kinds: Vec<TaskKind>,
    },
    /// What limits a task. Takes the place of what was said of it before.
    TaskDeclared {
        /// All of its kinds, one for each queue on which it was met.
        kinds: Vec<TaskKind>,
        /// The limits, for all of them together.
        limits: TaskLimits,
    },
    /// A queue's attributes were read again.
    QueueChanged {
        /// The queue.
        queue: QueueId,
        /// What SQS says of it now.
        attributes: QueueAttributes,
    },
    /// A receive came back, with messages or without.
    Received {
        /// Which receive.
        poll: PollId,
        /// In the order in which SQS gave them.
        messages: Vec<Arrival>,
    },
    /// The message's task has succeeded under another consumer, which is no more. Comes before the message
    /// itself, which then is deleted without running.
    KnownToHaveSucceeded {
        /// The message.
        message: MessageId,
    },
    /// A receive failed, or was abandoned.
    ReceiveFailed {
        /// Which receive.
        poll: PollId,
        /// Why.
        trouble: Trouble,
    },
    /// A delete request came back.
    Deleted {
        /// Which request.
        request: RequestId,
        /// What became of it.
        reply: BatchReply,
    },
    /// A visibility request came back.
    VisibilityChanged {
        /// Which request.
        request: RequestId,
        /// What became of it.
        reply: BatchReply,
    },
    /// A request to send messages on came back.
    Forwarded {
        /// Which request.
        request: RequestId,
        /// What became of it.
        reply: BatchReply,
    },
    /// A task process can take tasks, one at a time: of a process that runs several at once, each of its
    /// lanes is a process of its own here.
    ProcessReady {
        /// The process.
        process: ProcessId,
        /// It is given no more than this many in all; tasks that it gave back do not count.
        tasks_max: Option<u32>,
    },
    /// A task ended, well or not.
    TaskEnded {
        /// The message that was dispatched.
        message: MessageKey,
        /// How it ended.
        outcome: Outcome,
        /// How long it ran.
        took: Duration,
    },
    /// A task that another consumer, which is no more, had started runs on, in a process that takes no others. Its
    /// lease and its end are this consumer's from now on, but it can't be started here, nor sent on. Its queue is
    /// known; [`Event::TaskEnded`] or [`Event::ProcessGone`] follows.
    Adopted {
        /// The process, which was not known before.
        process: ProcessId,
        /// The messages' queue.
        queue: QueueId,
        /// Those of the run, in its order, with what is known of them.
        messages: Vec<Arrival>,
        /// When the first of them was received, from which SQS's 12 hours count.
        received: Instant,
    },
    /// The answer to [`Action::TakeBack`](crate::Action::TakeBack).
    TakenBack {
        /// The process.
        process: ProcessId,
        /// These had not begun and will not.
        messages: Vec<MessageKey>,
    },
    /// The process takes no more tasks. What it was given and had not begun was reported before, by
    /// [`Event::TakenBack`]; when what it runs has ended, [`Event::ProcessGone`] follows.
    ProcessRetiring {
        /// The process.
        process: ProcessId,
    },
    /// A task process is gone. What it finished was reported before, by [`Event::TaskEnded`].
    ProcessGone {
        /// The process.
        process: ProcessId,
        /// What it was running, which is charged, and what becomes of that by its task's own rules:
        /// `Failed` where there are none. Several are of one run, in its order. All others that it was given
        /// start anew elsewhere: they had not begun, or were interrupted through no fault of theirs.
        culprits: Vec<(MessageKey, Outcome)>,
    },
    /// Stop. A second one with `now` set is obeyed too.
    Stop {
        /// Do not wait for running tasks or open polls.
        now: bool,
    },
}

/// The answer to a batch request: an entry for each message, or why there is none. A message
/// without an entry counts as failed.
pub type BatchReply = Result<Vec<(MessageKey, EntryReply)>, Trouble>;

/// The answer for one entry of a batch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryReply {
    /// Done.
    Done,
    /// The receipt is not valid any more, or the message is not in flight: the lease was lost.
    ReceiptExpired,
    /// Worth a retry.
    Failed,
    /// No retry will help.
    Refused,
}

/// Why a request has no proper answer. It may have been carried out nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Too many requests, or too many messages in flight.
    Throttled,
    /// No connection, or it broke; or there are no credentials just now.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The credentials do not allow it, or there are none.
    Denied,
    /// The queue is not there.
    QueueMissing,
    /// SQS's own failure.
    ServerError,
    /// SQS would not take the request as it is, or the answer made no sense.
    Rejected,
}

impl Trouble {
    /// Whether it passes by itself; else a person must do something.
    pub(crate) fn passes(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::TimedOut | Self::ServerError => true,
            Self::Denied | Self::QueueMissing | Self::Rejected => false,
        }
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The function returned.
    Succeeded,
    /// The function returned, and messages are to be sent before its own is deleted: the driver has them.
    SucceededWithCallbacks,
    /// It raised.
    Failed,
    /// It raised, and is to run again after this long, which is rounded up to whole seconds.
    Retry {
        /// Counted from now.
        delay: Duration,
    },
    /// It raised after its last retry, and there is no queue to send its message to: as `Failed`.
    Exhausted,
    /// It raised, and its message is to go to a dead-letter queue, which the driver knows.
    DeadLetter,
    /// It raised for good, and messages are to be sent in place of its own: the driver has them.
    FailedWithErrbacks,
    /// Nothing is to come of its message: it is deleted.
    Discarded,
    /// It was not run, and is not to be for this long, which is rounded up to whole seconds, at least one: its work is
    /// under way elsewhere, or what it needs is out of reach.
    Postponed {
        /// Counted from now.
        delay: Duration,
    },
    /// It can't be run here: unknown or refused task, arguments that can't be read.
    Unrunnable,
    /// The process saw, before it began, that the lease had lapsed.
    NotStarted,
}
