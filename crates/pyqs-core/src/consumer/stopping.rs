//! The way to the end.

use super::Consumer;
use crate::action::Action;
use crate::deadlines::Deadline;
use crate::message::{MessageKey, Phase, PollId};
use crate::stop::{STOP_NOW_PATIENCE, STOP_PATIENCE, Stop};

impl Consumer {
    /// Begins to stop, or stops more quickly.
    pub(super) fn stop(&mut self, now: bool) {
        if self.stop == Stop::No {
            self.begin_stop();
        }
        if now && self.stop == Stop::Graceful {
            self.stop = Stop::Now;
            self.kill_busy();
            self.deadlines
                .set(Deadline::Patience, Some(self.now + STOP_NOW_PATIENCE));
        }
    }

    fn begin_stop(&mut self) {
        self.stop = Stop::Graceful;
        let polls: Vec<PollId> = self
            .queues
            .values()
            .flat_map(|queue| queue.poller.open_polls())
            .collect();
        self.actions.extend(
            polls
                .into_iter()
                .map(|poll| Action::AbandonReceive { poll }),
        );
        let waiting: Vec<MessageKey> = self
            .queues
            .values()
            .flat_map(|queue| queue.line.waiting())
            .collect();
        for key in waiting {
            self.give_back(key);
        }
        for process in self.pool.with_several() {
            self.take_back(process);
        }
        let kill_at = self
            .settings
            .shutdown_timeout
            .map(|timeout| self.now + timeout);
        self.deadlines.set(Deadline::ShutdownTimeout, kill_at);
    }

    /// Ends all processes that were given something.
    pub(super) fn kill_busy(&mut self) {
        self.has_killed_busy = true;
        for process in self.pool.with_any() {
            self.actions.push(Action::Kill { process });
        }
    }

    /// Says that the stop is complete, if it is.
    pub(super) fn advance_stop(&mut self) {
        if self.stop == Stop::No {
            return;
        }
        if self.held.is_empty() && self.polls.is_empty() && self.requests.is_empty() {
            return self.finish();
        }
        let waits_for_replies_only =
            self.polls.is_empty() && self.queues.values().all(|queue| queue.running == 0);
        if self.stop == Stop::Graceful && waits_for_replies_only && !self.is_waiting_for_replies {
            self.is_waiting_for_replies = true;
            self.deadlines
                .set(Deadline::Patience, Some(self.now + STOP_PATIENCE));
        }
    }

    /// The replies that are missing would keep the stop for too long.
    pub(super) fn give_up_waiting(&mut self) {
        let held: Vec<MessageKey> = self.held.keys().copied().collect();
        for key in held {
            match self.held.get(&key).map(|held| held.phase) {
                Some(Phase::Deleting { .. }) => self.give_up_delete(key),
                Some(_) => self.forget(key),
                None => {}
            }
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.stop = Stop::Done;
        self.deadlines = crate::deadlines::Deadlines::default();
        self.actions.push(Action::Done);
    }
}
