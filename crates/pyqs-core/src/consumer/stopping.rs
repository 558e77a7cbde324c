//! The way to the end.

use super::Consumer;
use crate::action::{Action, Onward};
use crate::deadlines::Deadline;
use crate::message::{MessageKey, Phase, PollId};
use crate::stop::{STOP_NOW_PATIENCE, STOP_PATIENCE, STOP_POLL_GRACE, Stop};

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
        let last_end = self
            .queues
            .values()
            .filter_map(|queue| queue.poller.last_end());
        if let Some(last_end) = last_end.max() {
            self.polls_until = last_end.max(self.now) + STOP_POLL_GRACE;
            self.deadlines
                .set(Deadline::LastPoll, Some(self.polls_until));
        }
        let waiting: Vec<MessageKey> = self
            .queues
            .values()
            .flat_map(|queue| queue.line.waiting())
            .collect();
        for key in waiting {
            self.give_back(key);
        }
        for queue in self.queues.values_mut() {
            queue.releases.hurry();
            queue.deletes.hurry();
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
        // After a sleep of this process, what came meanwhile is still to be read.
        let polls_until = self.polls_until.max(self.awake_since + STOP_POLL_GRACE);
        let is_any_poll_awaited = !self.polls.is_empty() && self.now < polls_until;
        if self.held.is_empty() && !is_any_poll_awaited && self.requests.is_empty() {
            return self.finish();
        }
        let is_any_running = self.queues.values().any(|queue| queue.running > 0);
        if self.stop == Stop::Graceful && !is_any_running && !self.is_waiting_for_replies {
            self.is_waiting_for_replies = true;
            let for_polls = self.polls_until + STOP_NOW_PATIENCE;
            let patience = for_polls.max(self.now + STOP_PATIENCE);
            self.deadlines.set(Deadline::Patience, Some(patience));
        }
    }

    /// The replies that are missing would keep the stop for too long.
    pub(super) fn give_up_waiting(&mut self) {
        let held: Vec<MessageKey> = self.held.keys().copied().collect();
        for key in held {
            match self.held.get(&key).map(|held| held.phase) {
                Some(Phase::Deleting { .. }) => self.give_up_delete(key),
                Some(Phase::Forwarding {
                    onward: Onward::Callbacks,
                    ..
                }) => self.give_up_callbacks(key),
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
