//! When to ask a queue for messages, and for how many.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Trouble;
use crate::message::PollId;
use crate::retry::{Backoff, Jitter};
use crate::time::Instant;
use crate::trouble::Watch;

/// Most receives open at once on one queue.
pub const POLLS_MAX: usize = 16;
/// Messages are fetched ahead that will start within this time.
pub const PREFETCH: Duration = Duration::from_secs(1);
/// How long the receives beside a queue's first one wait: they are there for a backlog, and
/// should not stay when it is gone.
pub const EXTRA_WAIT: Duration = Duration::from_secs(1);
/// The same attempt id is not used again after this long; SQS forgets it after 5 minutes
/// (AWS: `ReceiveMessage`, `ReceiveRequestAttemptId`).
pub const ATTEMPT_MAX: Duration = Duration::from_mins(4);

/// With each message this part of the largest one's size is forgotten.
const SIZE_FORGOTTEN_PART: usize = 64;

/// How polls are tried again after trouble that passes by itself: seconds after its end all is well.
pub(crate) const POLL_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    max: Duration::from_secs(5),
};
/// How polls are tried again where a person must do something.
pub(crate) const REFUSED_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    max: Duration::from_secs(20),
};
/// How long to pause after polls that came back empty without waiting.
pub(crate) const EMPTY_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(100),
    max: Duration::from_secs(5),
};

/// One queue's receives: which are open, how many there may be, and when the next may go.
#[derive(Debug)]
pub(crate) struct Poller {
    open: BTreeMap<PollId, Open>,
    /// The sum of what the open receives can bring.
    expected: usize,
    /// The same in bytes, as far as can be told.
    expected_bytes: usize,
    /// The most bytes that a message took, which is forgotten by and by.
    size: usize,
    /// As many receives may be open: grows while full batches come.
    allowed: usize,
    /// None is sent before this.
    resume_at: Option<Instant>,
    /// That pause is there since what came could not be used.
    is_pause_for_use: bool,
    /// Receives in a row that failed, or that brought nothing without waiting.
    failures: u32,
    watch: Watch,
    /// One does not come back, which has been told.
    is_overdue: bool,
    /// SQS last answered one.
    completed_at: Option<Instant>,
    /// On FIFO queues: the receive whose reply was lost, to be asked again.
    lost: Option<Attempt>,
    /// When the last two receives were asked for, the earlier first, where both found nothing.
    empties: [Option<Instant>; 2],
}

/// A receive under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// When it was asked for.
    pub(crate) sent: Instant,
    /// For how many messages.
    pub(crate) max: u8,
    /// As many bytes may come with it, as far as can be told.
    pub(crate) bytes: usize,
    /// How long it would wait.
    pub(crate) wait: Duration,
    /// The leases that it starts.
    pub(crate) visibility: Duration,
    pub(crate) attempt: Option<Attempt>,
}

/// A receive as SQS knows it again by its attempt id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) number: u64,
    /// When it was asked for first.
    pub(crate) since: Instant,
    /// The request must be the same.
    pub(crate) max: u8,
    pub(crate) visibility: Duration,
}

/// What a receive brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) count: usize,
    /// So many of them could be used.
    pub(crate) usable: usize,
    /// As many would have been a full batch.
    pub(crate) batch_max: u8,
}

/// What a failed or empty receive changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Same,
    Troubled,
    Recovered,
}

impl Default for Poller {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            expected: 0,
            expected_bytes: 0,
            size: 0,
            allowed: 1,
            resume_at: None,
            is_pause_for_use: false,
            failures: 0,
            watch: Watch::default(),
            is_overdue: false,
            completed_at: None,
            lost: None,
            empties: [None; 2],
        }
    }
}

impl Poller {
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn open_polls(&self) -> impl Iterator<Item = PollId> + '_ {
        self.open.keys().copied()
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.watch.is_troubled()
    }

    /// When the last of the open receives is back, if all is well.
    pub(crate) fn last_end(&self) -> Option<Instant> {
        self.open.values().map(|open| open.sent + open.wait).max()
    }

    /// The receive that is out for the longest.
    pub(crate) fn oldest(&self) -> Option<&Open> {
        self.open.values().min_by_key(|open| open.sent)
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.is_overdue
    }

    pub(crate) fn note_overdue(&mut self) {
        self.is_overdue = true;
    }

    /// What comes can be used again.
    pub(crate) fn go_on(&mut self) {
        if std::mem::take(&mut self.is_pause_for_use) {
            self.resume_at = None;
            self.failures = 0;
        }
    }

    /// Whether the last two receives were asked for since then and found nothing.
    pub(crate) fn is_drained(&self, since: Instant) -> bool {
        self.empties[0].is_some_and(|asked_at| asked_at >= since)
    }

    pub(crate) fn completed_at(&self) -> Option<Instant> {
        self.completed_at
    }

    /// When the next receive may go, if that is not now.
    pub(crate) fn resume_at(&self) -> Option<Instant> {
        self.resume_at
    }

    /// How many messages to ask for now, if anything is to be asked, when the queue could use
    /// `wanted` more than it has and `room` more can be held. One that has enough for the moment can wait until a
    /// full batch is wanted.
    pub(crate) fn next_max(
        &self,
        now: Instant,
        batch_max: u8,
        wanted: usize,
        room: usize,
        has_enough: bool,
    ) -> Option<u8> {
        let is_paused = self.resume_at.is_some_and(|at| now < at);
        if is_paused || self.open.len() >= self.allowed {
            return None;
        }
        let wanted = wanted.min(room).saturating_sub(self.expected);
        // Less than a batch is worth a request only if there is no other.
        let least = if self.open.is_empty() && !has_enough {
            1
        } else {
            usize::from(batch_max)
        };
        (wanted >= least).then(|| u8::try_from(wanted).unwrap_or(u8::MAX).min(batch_max))
    }

    /// A message has come.
    pub(crate) fn observe_size(&mut self, bytes: usize) {
        self.size = bytes.max(self.size - self.size.div_ceil(SIZE_FORGOTTEN_PART));
    }

    /// As many bytes may so many messages take.
    pub(crate) fn bytes_of(&self, max: u8) -> usize {
        usize::from(max) * self.size
    }

    pub(crate) fn expected_bytes(&self) -> usize {
        self.expected_bytes
    }

    /// How many more messages may be here, those on their way included, when the queue holds so many bytes of `share`,
    /// and all queues together may hold `left` more.
    pub(crate) fn room_by_bytes(&self, held: usize, share: usize, left: usize) -> usize {
        let used = held + self.expected_bytes;
        let more = share.saturating_sub(used).min(left) / self.size.max(1);
        // Something must always come.
        let least = usize::from(used == 0);
        self.expected + more.max(least)
    }

    pub(crate) fn opened(&mut self, poll: PollId, open: Open) {
        self.expected += usize::from(open.max);
        self.expected_bytes += open.bytes;
        self.open.insert(poll, open);
        self.resume_at = None;
    }

    /// The receive whose reply was lost, if SQS still knows it.
    pub(crate) fn take_lost(&mut self, now: Instant) -> Option<Attempt> {
        self.lost
            .take()
            .filter(|attempt| now.saturating_since(attempt.since) < ATTEMPT_MAX)
    }

    /// A receive came back with messages or without.
    pub(crate) fn completed(
        &mut self,
        poll: PollId,
        now: Instant,
        counts: Counts,
        jitter: &mut Jitter,
    ) -> Health {
        let Some(open) = self.close(poll) else {
            return Health::Same;
        };
        self.completed_at = Some(now);
        let was_overdue = std::mem::take(&mut self.is_overdue);
        let health = if self.watch.worked() || was_overdue {
            Health::Recovered
        } else {
            Health::Same
        };
        let Counts {
            count,
            usable,
            batch_max,
        } = counts;
        if count > 0 {
            self.empties = [None; 2];
        }
        if count >= usize::from(batch_max) {
            self.allowed = (self.allowed * 2).min(POLLS_MAX);
        } else if count == 0 {
            self.allowed = 1;
            self.found_nothing(open.sent);
        } else {
            self.allowed = (self.allowed / 2).max(1);
        }
        // An endpoint that does not wait, or whose messages are stale when they come, must not be
        // asked again and again.
        let came_early = now.saturating_since(open.sent) < open.wait / 2 || open.wait.is_zero();
        if usable == 0 && (count > 0 || (came_early && self.open.is_empty())) {
            self.failures = self.failures.saturating_add(1);
            self.resume_at = Some(now + EMPTY_BACKOFF.pause(self.failures, jitter));
            self.is_pause_for_use = count > 0;
        } else {
            self.failures = 0;
            self.resume_at = None;
        }
        health
    }

    /// A receive failed.
    pub(crate) fn failed(
        &mut self,
        poll: PollId,
        now: Instant,
        trouble: Trouble,
        jitter: &mut Jitter,
    ) -> Health {
        let Some(open) = self.close(poll) else {
            return Health::Same;
        };
        let reply_may_be_lost = matches!(
            trouble,
            Trouble::TimedOut | Trouble::Unreachable | Trouble::ServerError
        );
        self.lost = open.attempt.filter(|_| reply_may_be_lost);
        if trouble == Trouble::QueueMissing {
            self.found_nothing(open.sent);
        }
        self.allowed = (self.allowed / 2).max(1);
        self.failures = self.failures.saturating_add(1);
        let backoff = if trouble.passes() {
            POLL_BACKOFF
        } else {
            REFUSED_BACKOFF
        };
        self.resume_at = Some(now + backoff.pause(self.failures, jitter));
        self.is_pause_for_use = false;
        if self.watch.failed(now, trouble) {
            Health::Troubled
        } else {
            Health::Same
        }
    }

    pub(crate) fn get(&self, poll: PollId) -> Option<&Open> {
        self.open.get(&poll)
    }

    fn found_nothing(&mut self, asked_at: Instant) {
        let [_, last] = self.empties;
        self.empties = [last, Some(asked_at)];
    }

    fn close(&mut self, poll: PollId) -> Option<Open> {
        let open = self.open.remove(&poll)?;
        self.expected -= usize::from(open.max);
        self.expected_bytes -= open.bytes;
        Some(open)
    }
}
