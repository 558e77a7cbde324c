//! What the core asks the driver to do.

use std::time::Duration;

use crate::event::Trouble;
use crate::message::{MessageKey, PollId, ProcessId, QueueId, RequestId};
use crate::time::Instant;

/// Something that the driver must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send `ReceiveMessage`; comes back as `Received` or `ReceiveFailed`.
    Receive {
        /// The request's name.
        poll: PollId,
        /// Where from.
        queue: QueueId,
        /// `MaxNumberOfMessages`, 1 to 10.
        max: u8,
        /// `WaitTimeSeconds`: whole seconds.
        wait: Duration,
        /// `VisibilityTimeout`: whole seconds.
        visibility: Duration,
        /// On FIFO queues: what `ReceiveRequestAttemptId` is to be made from. The same number
        /// again means the same request again.
        attempt: Option<u64>,
    },
    /// The core would rather not wait for this receive. The driver closes it if the endpoint
    /// strands nothing then, else lets it come back; either way it comes back as an event.
    AbandonReceive {
        /// Which receive.
        poll: PollId,
    },
    /// Give a task to a process.
    Dispatch {
        /// The process.
        process: ProcessId,
        /// The message.
        message: MessageKey,
        /// It must not begin at or after this moment.
        lease_until: Instant,
        /// Which run of the message this is, 1 for the first, as far as can be told: never too
        /// low, and too high by receives elsewhere that ran nothing.
        attempt: u32,
    },
    /// Give several messages of one kind to a process, for one run: they begin together, and each ends by an
    /// event of its own, all in the same step.
    DispatchTogether {
        /// The process.
        process: ProcessId,
        /// In this order, each with which run of it this is, as in [`Dispatch`](Self::Dispatch).
        messages: Vec<(MessageKey, u32)>,
        /// They must not begin at or after this moment.
        lease_until: Instant,
    },
    /// What was given to the process and has not begun is to come back, by `TakenBack`.
    TakeBack {
        /// The process.
        process: ProcessId,
    },
    /// Send `DeleteMessageBatch`; comes back as `Deleted`.
    Delete {
        /// The request's name.
        request: RequestId,
        /// Where.
        queue: QueueId,
        /// 1 to 10 of them.
        messages: Vec<MessageKey>,
    },
    /// Send `ChangeMessageVisibilityBatch`; comes back as `VisibilityChanged`.
    ChangeVisibility {
        /// The request's name.
        request: RequestId,
        /// Where.
        queue: QueueId,
        /// 1 to 10 of them, each with its new visibility timeout in whole seconds.
        messages: Vec<(MessageKey, Duration)>,
    },
    /// Send messages on, by `SendMessageBatch` where they have one destination; comes back as
    /// `Forwarded`. A message's entry is `Done` only when SQS has confirmed that it has it.
    Forward {
        /// The request's name.
        request: RequestId,
        /// Where they are.
        queue: QueueId,
        /// 1 to 10 of them, each with where it is to go.
        messages: Vec<(MessageKey, Onward)>,
    },
    /// End a process by force; comes back as `ProcessGone`.
    Kill {
        /// The process.
        process: ProcessId,
    },
    /// The core is done with this delivery: body and receipt can go.
    Forget {
        /// The delivery.
        message: MessageKey,
    },
    /// Something that logs, metrics or tests may want to know.
    Report(Report),
    /// After a stop: everything is acknowledged or given back. No action follows.
    Done,
}

/// Where a message is sent on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// Back to its own queue, with all that it carries, since its time has not come.
    Hop {
        /// `DelaySeconds`: whole seconds, at most [`limits::HOP_MAX`](crate::limits::HOP_MAX).
        delay: Duration,
        /// It must not run before.
        due: Instant,
        /// Runs that it has had, as far as can be told: never too low.
        attempts: u32,
    },
    /// To the dead-letter queue that its task named.
    DeadLetter,
    /// Not it, but the messages that are to be sent after its task: Celery's `link`, chains, `link_error`.
    /// The driver has them. Its entry is `Done` when SQS has all of them.
    Callbacks,
}

/// Why a consumer ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its queues have nothing left: [`Settings::burst`](crate::Settings::burst).
    Drained,
    /// So many tasks have ended: [`Settings::tasks_max`](crate::Settings::tasks_max).
    TasksMax,
}

/// Something worth telling. A report about a message comes before its [`Action::Forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A task runs whose lease could not be kept: SQS may deliver its message again. Once a
    /// delivery.
    LeaseLost {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// A task runs whose message SQS hides for 12 hours at most, and these are almost over. Once a delivery.
    LeaseNearItsEnd {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
        /// So much is left.
        left: Duration,
    },
    /// A message was dropped unstarted since its lease had lapsed, or too little of it was left.
    /// SQS delivers it again.
    LeaseLapsedBeforeStart {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// A message can't be read or run. It is left for the dead-letter queue.
    PoisonSeen {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
        /// After this long it is delivered again: a newer worker may know the task.
        hidden_for: Duration,
    },
    /// The process that ran this message died of it.
    TaskCrashed {
        /// The message.
        message: MessageKey,
        /// The process that died.
        process: ProcessId,
    },
    /// A receive has not come back although its time is over by far, nor failed: the queue is not read. Once, until
    /// one comes back.
    PollOverdue {
        /// The queue.
        queue: QueueId,
    },
    /// A message that had succeeded here, or was sent on from here, was delivered again, and is
    /// deleted without running.
    DuplicateDeleted {
        /// The new delivery.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// A message that is still held here was delivered again: its earlier lease was lost. Whatever the driver
    /// keeps of the earlier delivery beside its receipt holds for the new one too.
    Redelivered {
        /// The new delivery.
        message: MessageKey,
        /// The earlier one.
        earlier: MessageKey,
    },
    /// A message that is done with could not be deleted. If it comes back to this worker, it is
    /// deleted without running; another worker would run it.
    DeleteGivenUp {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// SQS has confirmed that it has the message where it was sent on to, or all callbacks; what is here is
    /// deleted.
    SentOn {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
        /// Whereto.
        onward: Onward,
    },
    /// A message could not be sent on, and no retry would help: it stays in its queue. Callbacks are tried
    /// again nevertheless, since the task has run; of these it is told once a delivery.
    ForwardRefused {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
        /// Whereto it was to go.
        onward: Onward,
        /// After this long it is delivered again, or its callbacks are sent again.
        hidden_for: Duration,
    },
    /// A task's callbacks could not be sent, and will not be from here: its message was held for as long as
    /// SQS allows, or the consumer ends. SQS delivers it again, and whoever gets it runs its task again.
    CallbacksGivenUp {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// The answer to a message that was sent on was lost, so it is sent again: there may be two of
    /// it.
    ForwardUnsure {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// The time of a FIFO queue's message has not come. It is hidden, and its group with it, since
    /// SQS has no other means there.
    GroupWaits {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
        /// After this long it is delivered again.
        hidden_for: Duration,
    },
    /// The time for a message is over: it is deleted without running.
    Expired {
        /// The message.
        message: MessageKey,
        /// Its queue.
        queue: QueueId,
    },
    /// The polls of a queue began to fail. Tried again for ever; told once until it recovers, and
    /// again when the kind of trouble changes.
    PollTrouble {
        /// The queue.
        queue: QueueId,
        /// What is wrong.
        trouble: Trouble,
    },
    /// The polls of a queue work again.
    PollRecovered {
        /// The queue.
        queue: QueueId,
    },
    /// SQS refuses the deletes of a queue, for want of a permission perhaps, while its polls may
    /// go well. Tried again for ever; told once until it ends. Trouble that passes by itself is
    /// told by the polls.
    DeletesRefused {
        /// The queue.
        queue: QueueId,
        /// What is wrong.
        trouble: Trouble,
    },
    /// SQS takes the deletes of a queue again.
    DeletesTaken {
        /// The queue.
        queue: QueueId,
    },
    /// The consumer stops, and nobody has told it to: nothing is to be started for it any more.
    Ends(Ending),
}
