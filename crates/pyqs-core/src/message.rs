//! What a message is to the core: names, and nothing of its content.

use std::time::Duration;

use crate::action::Onward;
use crate::event::Outcome;
use crate::lease::Lease;
use crate::line::Together;
use crate::time::Instant;

/// A queue, as the driver numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// One receive request; given by the core, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollId(pub u64);

/// One delete or visibility request; given by the core, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One delivery of a message. Given by the driver, unique per delivery and increasing, so that a
/// redelivery of the same message is another key (and, at the driver, another receipt).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub u64);

/// Whatever runs one task at a time: a task process, or one of several lanes in one. Given by the
/// driver, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

/// Messages that are expected to take about as long: the driver numbers each pair of queue and
/// task name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKind(pub u32);

/// The id of a message, the same for each delivery: the logical one, which hops carry on, or SQS's
/// own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Box<str>);

impl MessageId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for MessageId {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// The message group of a FIFO queue's message, unique within its queue only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(Box<str>);

impl GroupId {
    /// The group's name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for GroupId {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// A message that a receive brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// This delivery.
    pub key: MessageKey,
    /// The message, by its logical id: a hop makes a new message of it that carries the same.
    pub id: MessageId,
    /// SQS's own id of it, where that is another: it came by a hop.
    pub hop_id: Option<MessageId>,
    /// SQS's `ApproximateReceiveCount`, this receive included.
    pub receive_count: u32,
    /// Runs before the hop that made this message.
    pub attempts_before: u32,
    /// The message group, on a FIFO queue only. The tenant of a standard queue's message is none
    /// of the core's business: it locks nothing.
    pub group: Option<GroupId>,
    /// What the driver could tell of it.
    pub work: Work,
    /// It must not run before.
    pub due: Option<Instant>,
    /// It must not begin at or after this moment.
    pub expires: Option<Instant>,
    /// It is run together with others of its kind; none for poison.
    pub gather: Option<Gather>,
    /// What the driver keeps of it, in bytes.
    pub bytes: usize,
}

/// How many messages of a kind one run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// At most: 1 to [`limits::GATHERED_MAX`](crate::limits::GATHERED_MAX).
    pub max: u32,
    /// So long after it arrived a message is run with fewer, if a process is free.
    pub wait: Duration,
}

impl Arrival {
    /// A first delivery of a message that may run at once.
    pub fn new(key: MessageKey, id: MessageId, work: Work) -> Self {
        Self {
            key,
            id,
            hop_id: None,
            receive_count: 1,
            attempts_before: 0,
            group: None,
            work,
            due: None,
            expires: None,
            gather: None,
            bytes: 0,
        }
    }
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A task of this kind.
    Task(TaskKind),
    /// The driver could not read it. It keeps the reason, by the message's key.
    Poison,
}

/// What the core must know of a queue's attributes. Read again by the driver every few minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueAttributes {
    /// The queue's own `VisibilityTimeout`: whole seconds.
    pub visibility_timeout: Duration,
    /// Whether message groups order and lock.
    pub is_fifo: bool,
    /// `maxReceiveCount` of the redrive policy, if there is one.
    pub receives_max: Option<u32>,
}

/// What part of the slots a queue gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// `email:3` has three times the share of `sms`. Zero is read as one.
    pub weight: u32,
    /// `email=5` runs at most five at once.
    pub tasks_max: Option<u32>,
    /// `email@10/s` starts at most ten a second.
    pub rate: Option<RateLimit>,
    /// A queue goes before all with a larger number, which starve while it has messages; those of
    /// one number share by weight. Default 0, for all.
    pub priority: u32,
}

/// So many starts in so long, evenly spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The starts. Zero is read as one.
    pub tasks: u32,
    /// The time that they are spread over.
    pub per: Duration,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1,
            tasks_max: None,
            rate: None,
            priority: 0,
        }
    }
}

/// A delivery that the consumer has not forgotten.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Held {
    pub(crate) id: MessageId,
    pub(crate) hop_id: Option<MessageId>,
    pub(crate) queue: QueueId,
    pub(crate) group: Option<GroupId>,
    pub(crate) receive_count: u32,
    pub(crate) attempts_before: u32,
    pub(crate) work: Work,
    pub(crate) due: Option<Instant>,
    pub(crate) expires: Option<Instant>,
    pub(crate) bytes: usize,
    /// How it is to start with others.
    pub(crate) together: Option<Together>,
    pub(crate) lease: Lease,
    pub(crate) phase: Phase,
    /// Its entry in the queue's upkeep.
    pub(crate) upkeep_at: Option<Instant>,
    /// An extension is under way: nothing else may be asked about its visibility meanwhile, lest
    /// the later request be carried out first.
    pub(crate) is_extending: bool,
    /// Its process found the lease lapsed once already.
    pub(crate) was_refused: bool,
    /// That SQS's 12 hours are almost over has been told.
    pub(crate) is_end_told: bool,
    /// Another consumer started it: the driver has not got its body.
    pub(crate) is_adopted: bool,
}

impl Held {
    /// A delivery that waits to be started, or for what is decided about it. Groups lock only on FIFO queues.
    pub(crate) fn new(arrival: Arrival, queue: QueueId, is_fifo: bool, lease: Lease) -> Self {
        Self {
            id: arrival.id,
            hop_id: arrival.hop_id,
            queue,
            group: arrival.group.filter(|_| is_fifo),
            receive_count: arrival.receive_count,
            attempts_before: arrival.attempts_before,
            work: arrival.work,
            due: arrival.due,
            expires: arrival.expires,
            bytes: arrival.bytes,
            together: None,
            lease,
            phase: Phase::Buffered,
            upkeep_at: None,
            is_extending: false,
            was_refused: false,
            is_end_told: false,
            is_adopted: false,
        }
    }

    /// What can come of an outcome: without its body a message is not sent on, nor is what its task has left to follow
    /// it.
    pub(crate) fn possible(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::DeadLetter if self.is_adopted => Outcome::Exhausted,
            Outcome::SucceededWithCallbacks | Outcome::FailedWithErrbacks if self.is_adopted => {
                Outcome::Failed
            }
            possible => possible,
        }
    }

    /// SQS's own id of the message.
    pub(crate) fn sqs_id(&self) -> &MessageId {
        self.hop_id.as_ref().unwrap_or(&self.id)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits to be started.
    Buffered,
    /// Given to a process.
    Running {
        process: ProcessId,
        /// The first of those that are run together; itself, where it is run alone.
        run: MessageKey,
        since: Instant,
        /// A later delivery of the same message, which shares its fate.
        twin: Option<MessageKey>,
        /// That its lease was lost has been told.
        is_lease_lost: bool,
    },
    /// A later delivery of a message that runs.
    Twin { of: MessageKey },
    /// It is to be sent on, and deleted when SQS has confirmed that.
    Forwarding {
        onward: Onward,
        failures: u32,
        /// A request with it has not come back.
        is_under_way: bool,
        /// That it was refused has been told.
        is_refusal_told: bool,
    },
    /// It is done with, and so it is to be deleted.
    Deleting { failures: u32, since: Done },
    /// It is to be visible again after this long.
    Releasing { hidden_for: Duration, failures: u32 },
}

/// Why a message is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Its task succeeded, was to be discarded, or has expired: whatever carries its logical id is
    /// done too.
    ForGood,
    /// It was sent on: a message of the same logical id may be there, or come.
    SentOn,
}
