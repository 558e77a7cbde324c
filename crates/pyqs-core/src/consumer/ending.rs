//! Stops that nobody asks for: of a burst when its queues have nothing left, and after so many tasks.

use super::Consumer;
use crate::action::{Ending, Report};
use crate::message::{Done, MessageKey, Phase, QueueId};
use crate::stop::{Quota, Stop};

impl Consumer {
    /// Stops if this is the time to.
    pub(super) fn end_by_itself(&mut self) {
        if self.stop != Stop::No {
            return;
        }
        let is_used_up = self.quota.is_some_and(Quota::is_used_up);
        let ending = if is_used_up {
            Ending::TasksMax
        } else if self.settings.burst && self.is_drained() {
            Ending::Drained
        } else {
            return;
        };
        self.report(Report::Ends(ending));
        self.stop(false);
    }

    /// Whether all that was taken is done with, and each queue was found empty twice since. What a task sends before
    /// it ends is found so.
    fn is_drained(&self) -> bool {
        self.are_queues_listed
            && self.held.is_empty()
            && self.requests.is_empty()
            && self.queues.keys().all(|&id| self.is_queue_drained(id))
    }

    /// A message is done with here. Of one that is not simply gone something may be visible now.
    pub(super) fn note_visible(&mut self, last: Phase) {
        let is_gone_or_hidden = match last {
            Phase::Deleting { since, .. } => since == Done::ForGood,
            Phase::Releasing { hidden_for, .. } => !hidden_for.is_zero(),
            _ => false,
        };
        if !is_gone_or_hidden {
            self.quiet_since = self.now;
        }
    }

    /// Whether a burst has asked this queue often enough.
    pub(super) fn is_queue_drained(&self, id: QueueId) -> bool {
        self.settings.burst && self.queues[&id].poller.is_drained(self.quiet_since)
    }

    /// When as many tasks as may be begun have been given to processes, what else was received waits for nothing.
    pub(super) fn give_back_beyond_quota(&mut self) {
        if self.stop != Stop::No || self.may_begin() > 0 {
            return;
        }
        let lines = self.queues.values().flat_map(|queue| queue.line.waiting());
        let waiting: Vec<MessageKey> = lines.collect();
        for key in waiting {
            self.give_back(key);
        }
    }

    /// So many tasks may still be begun.
    pub(super) fn may_begin(&self) -> usize {
        self.quota.map_or(usize::MAX, |quota| {
            usize::try_from(quota.left()).unwrap_or(usize::MAX)
        })
    }
}
