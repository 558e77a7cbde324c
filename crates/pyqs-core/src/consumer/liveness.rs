//! Receives that do not come back at all.

use std::time::Duration;

use super::Consumer;
use crate::action::Report;
use crate::deadlines::Deadline;
use crate::message::QueueId;
use crate::time::{Instant, TICK};

/// A receive that is out for this much longer than it was to wait is overdue. The driver gives up what takes too
/// long well before, so nothing but a fault in between comes to this.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(15);

/// A consumer that was not called for so long slept, and so did everything beside it.
const SLEPT: Duration = TICK.saturating_mul(4);

impl Consumer {
    /// Notes a sleep, of the machine or of this process: receives are given their time anew.
    pub(super) fn note_sleep(&mut self, before: Instant) {
        if self.now.saturating_since(before) >= SLEPT {
            self.awake_since = self.now;
        }
    }

    /// When the queue's oldest receive is overdue, unless that has been told.
    pub(super) fn overdue_at(&self, id: QueueId) -> Option<Instant> {
        let poller = &self.queues[&id].poller;
        let open = poller.oldest().filter(|_| !poller.is_overdue())?;
        Some(open.sent.max(self.awake_since) + open.wait + OVERDUE_AFTER)
    }

    /// Tells of a receive that does not come back: nobody else would.
    pub(super) fn look_for_overdue(&mut self, id: QueueId) {
        if self.overdue_at(id).is_some_and(|at| at <= self.now) {
            self.counters.polls_overdue += 1;
            self.queue_mut(id).poller.note_overdue();
            self.report(Report::PollOverdue { queue: id });
        }
        let at = self.overdue_at(id);
        self.deadlines.set(Deadline::Overdue(id), at);
    }
}
