//! One queue's part of the consumer.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ack::Batcher;
use crate::fetch::{PREFETCH, Poller};
use crate::lease::{LEASE_MIN, LEASE_TOTAL_MARGIN, LEASE_TOTAL_MAX, RoundTrip};
use crate::line::Line;
use crate::message::{MessageKey, QueueAttributes, Share};
use crate::schedule::{Pace, Rate, Throttle, Unreadable, starts_within};
use crate::snapshot::QueueSnapshot;
use crate::time::Instant;
use crate::trouble::Watch;

/// A queue counts as in use for this long after it had messages.
pub const ACTIVE_FOR: Duration = Duration::from_secs(10);
/// Tasks below this hold up nobody.
pub const SLOW_MIN: Duration = Duration::from_millis(20);
/// A queue is slow beside another whose tasks take at most this part of its own tasks' time.
pub const SLOW_FACTOR: u32 = 4;
/// What a task of a queue is taken to last while nothing is known of it but that it runs.
pub const UNKNOWN_TASK: Duration = Duration::from_secs(1);
/// A queue is not polled while this many deletes, releases or sends of its messages are not confirmed:
/// an endpoint that takes none would fill the memory otherwise.
pub const UNCONFIRMED_MAX: usize = 1000;

/// After a message of a message group that had spent half of its receives has come back, only the
/// first message of each group is asked for during this time.
pub const SPARE_FOR: Duration = Duration::from_secs(5);

/// All that is kept for one queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) attributes: QueueAttributes,
    pub(crate) share: Share,
    pub(crate) line: Line,
    /// What its messages take that are held and not running.
    pub(crate) bytes: usize,
    pub(crate) running: usize,
    /// Runs under way: fewer than `running` where messages are run together.
    pub(crate) runs: usize,
    /// The most messages that one run takes, as far as is known.
    pub(crate) gathers: usize,
    pub(crate) forwarding: usize,
    pub(crate) deleting: usize,
    pub(crate) releasing: usize,
    pub(crate) poller: Poller,
    pub(crate) forwards: Batcher,
    pub(crate) deletes: Batcher,
    /// Deletes that are refused.
    pub(crate) delete_watch: Watch,
    pub(crate) releases: Batcher,
    /// When something is to be done about a lease.
    pub(crate) upkeep: BTreeSet<(Instant, MessageKey)>,
    pub(crate) round_trip: RoundTrip,
    pub(crate) starts: Rate,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) pace: Option<Pace>,
    /// Of what turned out in a process not to be a task that can be run.
    pub(crate) unrunnable_pace: Option<Pace>,
    pub(crate) unreadable: Unreadable,
    pub(crate) had_messages_at: Option<Instant>,
    /// On a FIFO queue: until then only the first message of a group is asked for.
    spare_until: Instant,
}

impl Queue {
    pub(crate) fn new(attributes: QueueAttributes, share: Share) -> Self {
        Self {
            attributes,
            share,
            line: Line::default(),
            bytes: 0,
            running: 0,
            runs: 0,
            gathers: 1,
            forwarding: 0,
            deleting: 0,
            releasing: 0,
            poller: Poller::default(),
            forwards: Batcher::default(),
            deletes: Batcher::default(),
            delete_watch: Watch::default(),
            releases: Batcher::default(),
            upkeep: BTreeSet::new(),
            round_trip: RoundTrip::default(),
            starts: Rate::default(),
            throttle: share.rate.map(Throttle::new),
            pace: None,
            unrunnable_pace: None,
            unreadable: Unreadable::default(),
            had_messages_at: None,
            spare_until: Instant::ORIGIN,
        }
    }

    /// The most messages that one receive should ask for.
    ///
    /// One receive may bring ten of a single message group, of which one runs at a time. So a FIFO
    /// queue is asked for no more than a slot will start soon: the others would only wait here,
    /// spend a receive, and be given back if the first one fails.
    pub(crate) fn batch_max(&self, now: Instant, most: u8) -> u8 {
        if !self.attributes.is_fifo {
            return most;
        }
        let soon = self
            .task_mean()
            .map_or(1, |task| starts_within(PREFETCH, task).max(1))
            .saturating_mul(self.gathers);
        let soon = u8::try_from(soon).unwrap_or(u8::MAX);
        if now < self.spare_until {
            1
        } else {
            soon.clamp(1, most)
        }
    }

    /// A message of a group did not succeed and is hidden for so long. When it has spent half of
    /// its receives, those behind it in its group must not come along any more each time that it
    /// comes: they would go to the dead-letter queue with it, unrun.
    pub(crate) fn spare_followers(&mut self, now: Instant, receives: u32, hidden_for: Duration) {
        let max = self.attributes.receives_max.unwrap_or(u32::MAX);
        if receives >= max / 2 {
            let comes_back = now + hidden_for.max(LEASE_MIN);
            self.spare_until = self.spare_until.max(comes_back + SPARE_FOR);
        }
    }

    /// The visibility timeout that receives and heartbeats name: the queue's own where it is long
    /// enough to be kept up, and never above what SQS takes.
    pub(crate) fn lease_length(&self) -> Duration {
        let longest = LEASE_TOTAL_MAX.saturating_sub(LEASE_TOTAL_MARGIN);
        Duration::from_secs(
            self.attributes
                .visibility_timeout
                .clamp(LEASE_MIN, longest)
                .as_secs(),
        )
    }

    /// How many more may run by the queue's own cap.
    pub(crate) fn allowance(&self) -> usize {
        self.share
            .tasks_max
            .map_or(usize::MAX, |max| (max as usize).saturating_sub(self.runs))
    }

    /// Whether others are likely to be done with within that time, for a request to carry them too. Those of a FIFO
    /// queue wait for nothing: SQS gives out none of their group before they are deleted.
    pub(crate) fn has_more_within(&mut self, now: Instant, span: Duration) -> bool {
        !self.attributes.is_fifo && self.line.len() > 0 && self.starts.expected(now, span) > 1
    }

    /// Whether what is here waits for free slots alone, and neither for others of its group nor for company.
    pub(crate) fn waits_for_slots(&self) -> bool {
        !self.attributes.is_fifo && self.line.missing() == 0
    }

    /// Whether its own limits let one more start now.
    pub(crate) fn may_start(&self, now: Instant) -> bool {
        let is_due = |throttle: Throttle| throttle.next_at() <= now;
        self.allowance() > 0 && self.throttle.is_none_or(is_due)
    }

    /// When its rate, and nothing else, lets something be done that can't be done now: the next
    /// start, or the next fetch.
    pub(crate) fn paced_until(&self, now: Instant) -> Option<Instant> {
        let next = self.throttle?.next_at();
        let at = if self.line.len() > 0 {
            next
        } else {
            next - PREFETCH
        };
        (at > now).then_some(at)
    }

    /// As many of its tasks can run at once.
    pub(crate) fn slots_at_most(&self, slots: usize) -> u32 {
        u32::try_from(slots)
            .unwrap_or(u32::MAX)
            .min(self.share.tasks_max.unwrap_or(u32::MAX))
    }

    pub(crate) fn is_active(&self, now: Instant) -> bool {
        self.had_messages_at
            .is_some_and(|at| now.saturating_since(at) < ACTIVE_FOR)
    }

    pub(crate) fn task_mean(&self) -> Option<Duration> {
        self.pace.map(|pace| pace.mean())
    }

    /// How long a message of the queue holds a slot, as far as is known.
    pub(crate) fn hold_mean(&self) -> Option<Duration> {
        self.pace.or(self.unrunnable_pace).map(|pace| pace.mean())
    }

    /// Whether one's tasks would keep the other's waiting for long.
    pub(crate) fn is_slow_beside(&self, other: &Queue) -> bool {
        // A queue of which nothing is known may run one task to find out.
        let unknown = if self.running == 0 {
            Duration::ZERO
        } else {
            UNKNOWN_TASK
        };
        let mine = self.task_mean().unwrap_or(unknown);
        mine >= SLOW_MIN && mine >= other.task_mean().unwrap_or_default() * SLOW_FACTOR
    }

    pub(crate) fn is_clogged(&self) -> bool {
        self.deleting.max(self.releasing).max(self.forwarding) >= UNCONFIRMED_MAX
    }

    pub(crate) fn snapshot(&self) -> QueueSnapshot {
        QueueSnapshot {
            buffered: self.line.len(),
            bytes: self.bytes,
            running: self.running,
            forwarding: self.forwarding,
            deleting: self.deleting,
            releasing: self.releasing,
            polls: self.poller.open_count(),
            polled_at: self.poller.completed_at(),
            is_troubled: self.poller.is_troubled(),
            task_mean: self.task_mean(),
        }
    }
}
