//! Receives that do not come back at all.

use std::time::Duration;

use super::Consumer;
use crate::action::Report;
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

    /// Tells of receives that do not come back: nobody else would. Looked for at each tick, so that it wakes nobody.
    pub(super) fn look_for_overdue(&mut self) {
        let overdue = self.queues.iter().filter(|(_, queue)| {
            let oldest = queue.poller.oldest().filter(|_| !queue.poller.is_overdue());
            oldest.is_some_and(|open| {
                open.sent.max(self.awake_since) + open.wait + OVERDUE_AFTER <= self.now
            })
        });
        let overdue: Vec<QueueId> = overdue.map(|(&id, _)| id).collect();
        for queue in overdue {
            self.counters.polls_overdue += 1;
            self.queue_mut(queue).poller.note_overdue();
            self.report(Report::PollOverdue { queue });
        }
    }
}
