//! What the limits of tasks hold back: a little waits here, the rest is given back until its turn.

use super::Consumer;
use crate::limiter::TaskLimits;
use crate::message::{Held, MessageKey, QueueId, TaskKind, Work};

impl Consumer {
    /// Nobody has said yet what limits this task.
    pub(super) fn task_undeclared(&mut self, kinds: &[TaskKind]) {
        let new = self.limiters.undeclared(kinds);
        self.enter_limiters(&new);
    }

    /// What limits a task, by all of its kinds, is known.
    pub(super) fn task_declared(&mut self, kinds: &[TaskKind], limits: TaskLimits) {
        let Some(recalled) = self.limiters.declare(kinds, limits) else {
            return;
        };
        for key in recalled {
            self.recall(key);
        }
        for &kind in kinds {
            self.set_blocked(kind, false);
        }
        self.enter_limiters(kinds);
        let Some(&kind) = kinds.first() else { return };
        let beyond = self
            .limiters
            .beyond(kind, self.settings.batch_max, self.paces.get(&kind));
        for key in beyond {
            // What follows in its message group would be locked with it.
            let held = &self.held[&key];
            let is_alone = held.group.is_none() && held.together.is_none();
            if is_alone && !self.is_last_receive(held) {
                self.wait_for_turn(key, kind);
            }
        }
    }

    /// The limits learn of what is held already.
    fn enter_limiters(&mut self, kinds: &[TaskKind]) {
        for (&key, held) in &self.held {
            let Work::Task(kind) = held.work else {
                continue;
            };
            if kinds.contains(&kind) {
                self.limiters.entered(held.work, key, held.phase);
            }
        }
        if let Some(&kind) = kinds.first() {
            self.limiters.count_running(kind, self.now);
        }
    }

    /// Lets those wait for a process again whose limits let them start.
    pub(super) fn recall_kept(&mut self) {
        if self.limiters.is_empty() {
            return;
        }
        for key in self.limiters.recall(self.now) {
            self.recall(key);
        }
        for kind in self.limiters.unblock(self.now) {
            self.set_blocked(kind, false);
        }
    }

    fn set_blocked(&mut self, kind: TaskKind, is_blocked: bool) {
        let ids: Vec<QueueId> = self.queues.keys().copied().collect();
        for id in ids {
            self.queue_mut(id).line.set_blocked(kind, is_blocked);
            self.note_turns(id);
        }
    }

    fn recall(&mut self, key: MessageKey) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        let (id, group) = (held.queue, held.group.clone());
        self.queue_mut(id).line.recall(key, group.as_ref());
        self.note_turns(id);
    }

    /// Its task's limits do not let it start now.
    pub(super) fn keep(&mut self, key: MessageKey) {
        let held = &self.held[&key];
        let Work::Task(kind) = held.work else { return };
        let (batch_max, pace) = (self.settings.batch_max, self.paces.get(&kind));
        // It waits itself.
        let is_beyond = self.limiters.beyond(kind, batch_max, pace).contains(&key);
        if is_beyond && !self.is_last_receive(held) {
            return self.wait_for_turn(key, kind);
        }
        let (id, group) = (held.queue, held.group.clone());
        self.limiters.put_aside(kind, key);
        self.queue_mut(id).line.set_aside(key, group.as_ref());
        self.note_turns(id);
    }

    /// The same of what starts together: all of it waits here.
    pub(super) fn keep_together(&mut self, id: QueueId, kind: TaskKind) {
        self.limiters.block(kind);
        self.queue_mut(id).line.set_blocked(kind, true);
        self.note_turns(id);
    }

    /// Whether it has just come, and as many of its task wait already as are kept.
    pub(super) fn is_beyond_limits(&self, held: &Held) -> bool {
        let Work::Task(kind) = held.work else {
            return false;
        };
        !self.limiters.is_empty()
            && held.group.is_none()
            && held.together.is_none()
            && self
                .limiters
                .is_full(kind, self.settings.batch_max, self.paces.get(&kind))
            && !self.is_last_receive(held)
    }

    /// It is hidden until its turn. In a message group, those behind it go back at once: they stay behind it.
    pub(super) fn wait_for_turn(&mut self, key: MessageKey, kind: TaskKind) {
        self.counters.held_back += 1;
        self.give_back_followers(key);
        self.note_unrun(key);
        let hidden_for = self
            .limiters
            .promise_turn(kind, self.now, self.paces.get(&kind));
        self.release(key, hidden_for);
    }

    /// Whether the next receive would bring it to the dead-letter queue: it must not be spent unrun.
    fn is_last_receive(&self, held: &Held) -> bool {
        let receives_max = self.queues[&held.queue].attributes.receives_max;
        receives_max.is_some_and(|max| held.receive_count >= max)
    }

    /// A task has started: its limits, where it has any, count it, and more of it may be fetched.
    pub(super) fn count_start(&mut self, key: MessageKey) {
        if self.limiters.is_empty() {
            return;
        }
        let (work, id) = (self.held[&key].work, self.held[&key].queue);
        self.limiters.start(work, self.now);
        let Work::Task(kind) = work else { return };
        if self
            .limiters
            .has_room(kind, self.settings.batch_max, self.paces.get(&kind))
        {
            self.queue_mut(id).poller.go_on();
        }
    }

    /// A task has ended and its process has said nothing of limits: it has none.
    pub(super) fn ended_undeclared(&mut self, work: Work) {
        if let Work::Task(kind) = work
            && self.limiters.is_undeclared(kind)
        {
            let kinds = self.limiters.kinds_of(kind);
            self.task_declared(&kinds, TaskLimits::default());
        }
    }
}
