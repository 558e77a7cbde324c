//! What becomes of a message: the changes of its phase, each with all its bookkeeping.

use std::time::Duration;

use super::Consumer;
use crate::action::{Action, Onward, Report};
use crate::message::{Done, Held, MessageKey, Phase, QueueId};
use crate::queue::Queue;
use crate::stop::Stop;
use crate::time::whole_secs_up;

/// The longest that poison is hidden: a newer worker may know its task.
pub const POISON_HIDDEN_MAX: Duration = Duration::from_mins(15);
/// The shortest, lest a queue without a visibility timeout bring it at once again.
pub const POISON_HIDDEN_MIN: Duration = Duration::from_secs(1);
/// Poison waits this long at most until a request that hides it is full: nobody is in need of it, and one request for
/// each would slow down what else the queue brings.
pub const POISON_GATHERED_MAX: Duration = Duration::from_secs(1);
/// And no longer than this part of the time that it is hidden.
const POISON_GATHERED_PART: u32 = 16;
/// While a queue is busy, what has succeeded waits this long at most until a request that deletes it is full.
pub const DELETE_GATHERED_MAX: Duration = Duration::from_millis(50);
/// A message whose task failed is hidden for at least this long, for the same reason.
pub const FAILED_HIDDEN_MIN: Duration = Duration::from_secs(1);

impl Consumer {
    /// Its task returned: it is to be deleted.
    pub(super) fn succeed(&mut self, key: MessageKey) {
        self.counters.succeeded += 1;
        self.finish_with(key);
    }

    /// Its task returned: what is to follow it is sent, then it is deleted. Its group goes on meanwhile, since
    /// its turn was the run.
    pub(super) fn succeed_with_callbacks(&mut self, key: MessageKey) {
        self.counters.succeeded += 1;
        self.send_callbacks(key);
    }

    /// Its task failed for good, and others are to hear of it.
    pub(super) fn fail_with_errbacks(&mut self, key: MessageKey) {
        self.counters.failed += 1;
        self.give_back_followers(key);
        self.send_callbacks(key);
    }

    fn send_callbacks(&mut self, key: MessageKey) {
        let own = self.queues[&self.held[&key].queue]
            .attributes
            .visibility_timeout;
        let key = self.settle_twin(key, own);
        self.forward(key, Onward::Callbacks);
    }

    /// Nothing is to come of it.
    pub(super) fn discard(&mut self, key: MessageKey) {
        self.counters.discarded += 1;
        self.finish_with(key);
    }

    /// Its time is over, and it has not run.
    pub(super) fn expire(&mut self, key: MessageKey) {
        self.counters.expired += 1;
        let queue = self.held[&key].queue;
        self.report(Report::Expired {
            message: key,
            queue,
        });
        self.start_deleting(key, Done::ForGood);
    }

    fn finish_with(&mut self, key: MessageKey) {
        let twin = self.twin_of(key);
        for key in [Some(key), twin].into_iter().flatten() {
            self.start_deleting(key, Done::ForGood);
        }
    }

    /// Its task failed and is to run again after so long: it is hidden, or sent on where SQS would
    /// not hide it for so long.
    pub(super) fn retry(&mut self, key: MessageKey, delay: Duration) {
        self.counters.failed += 1;
        self.counters.retried += 1;
        let delay = whole_secs_up(delay);
        let held = &self.held[&key];
        let attempts = self.attempts_before(held).saturating_add(1);
        // One that is sent again would be behind its group.
        let is_fifo = self.queues[&held.queue].attributes.is_fifo;
        let is_hop = !is_fifo && !held.is_adopted && !held.lease.can_hide(self.now, delay);
        self.give_back_followers(key);
        if is_hop {
            let due = self.now + delay;
            let key = self.settle_twin(key, delay);
            return self.hop(key, due, attempts);
        }
        let twin = self.twin_of(key);
        for key in [Some(key), twin].into_iter().flatten() {
            self.release(key, delay);
        }
    }

    /// Its task failed for good, and it is to go where such messages go.
    pub(super) fn dead_letter(&mut self, key: MessageKey) {
        self.counters.failed += 1;
        self.give_back_followers(key);
        let own = self.queues[&self.held[&key].queue]
            .attributes
            .visibility_timeout;
        let key = self.settle_twin(key, own);
        self.forward(key, Onward::DeadLetter);
    }

    /// Its task failed and has no retry left.
    pub(super) fn exhaust(&mut self, key: MessageKey) {
        self.counters.exhausted += 1;
        self.fail(key);
    }

    /// Of a message to be sent on, the delivery that decides; a twin that SQS has as another message
    /// is hidden.
    pub(super) fn settle_twin(&mut self, key: MessageKey, hidden_for: Duration) -> MessageKey {
        match self.twin_of(key) {
            // A later delivery has the better lease.
            Some(twin) if self.held[&twin].sqs_id() == self.held[&key].sqs_id() => {
                self.forget(key);
                twin
            }
            Some(twin) => {
                self.release(twin, hidden_for);
                key
            }
            None => key,
        }
    }

    /// Its task failed: it is left to the queue's visibility timeout, counted from now.
    pub(super) fn fail(&mut self, key: MessageKey) {
        self.counters.failed += 1;
        let twin = self.twin_of(key);
        self.give_back_followers(key);
        for key in [Some(key), twin].into_iter().flatten() {
            let held = &self.held[&key];
            let own = self.queues[&held.queue].attributes.visibility_timeout;
            let own = own.max(FAILED_HIDDEN_MIN);
            let was_asked_otherwise =
                held.lease.is_extended || held.is_extending || held.lease.length() != own;
            if was_asked_otherwise {
                self.release(key, own);
            } else {
                self.forget(key);
            }
        }
    }

    /// It can't be read or run: it is hidden for longer with each receive, until the queue's
    /// redrive policy takes it or a worker comes that knows it.
    pub(super) fn poison(&mut self, key: MessageKey) {
        self.counters.poison += 1;
        let twin = self.twin_of(key);
        self.give_back_followers(key);
        let held = &self.held[&key];
        let own = self.queues[&held.queue]
            .attributes
            .visibility_timeout
            .max(POISON_HIDDEN_MIN);
        let doublings = held.receive_count.saturating_sub(1).min(20);
        let hidden_for = own.saturating_mul(1 << doublings).min(POISON_HIDDEN_MAX);
        let (id, receive_count, now) = (held.queue, held.receive_count, self.now);
        self.report(Report::PoisonSeen {
            message: key,
            queue: id,
            hidden_for,
        });
        self.queue_mut(id)
            .spare_followers(now, receive_count, hidden_for);
        let patience = (hidden_for / POISON_GATHERED_PART).min(POISON_GATHERED_MAX);
        for key in [Some(key), twin].into_iter().flatten() {
            self.release_within(key, hidden_for, patience);
        }
    }

    /// It was not started and is not to be: visible again at once.
    pub(super) fn give_back(&mut self, key: MessageKey) {
        self.counters.given_back += 1;
        self.note_unrun(key);
        self.release(key, Duration::ZERO);
    }

    /// Its process was ended by the stop, and not by its task: visible again at once.
    pub(super) fn interrupt(&mut self, key: MessageKey) {
        let twin = self.twin_of(key);
        self.give_back_followers(key);
        for key in [Some(key), twin].into_iter().flatten() {
            self.give_back(key);
        }
    }

    /// Its run has ended, but an earlier one of its message group in that run is not done with: nor is this, whatever
    /// became of it. It was run, which counts, and is visible again at once, where its group holds it back.
    pub(super) fn hold_back(&mut self, key: MessageKey) {
        self.counters.failed += 1;
        let twin = self.twin_of(key);
        for key in [Some(key), twin].into_iter().flatten() {
            self.release(key, Duration::ZERO);
        }
    }

    /// It waits to be started, again.
    pub(super) fn put_back(&mut self, key: MessageKey) {
        self.came_back(key);
        // A later delivery has the better lease.
        let twin = self.twin_of(key);
        let key = match twin {
            Some(twin) => {
                self.forget(key);
                self.by_id.insert(self.held[&twin].id.clone(), twin);
                twin
            }
            None => key,
        };
        self.enter_line(key);
        if self.stop != Stop::No || self.held[&key].is_adopted {
            self.give_back(key);
        }
    }

    /// It was not started, and too little is left of its lease: it is left to SQS.
    pub(super) fn drop_lapsed(&mut self, key: MessageKey) {
        self.counters.lapsed_before_start += 1;
        let queue = self.held[&key].queue;
        self.report(Report::LeaseLapsedBeforeStart {
            message: key,
            queue,
        });
        self.give_back_followers(key);
        self.note_unrun(key);
        self.forget(key);
    }

    /// Nothing of its message group that waits here may start before it: all of it goes back, so
    /// that no hidden message locks the group.
    pub(super) fn give_back_followers(&mut self, key: MessageKey) {
        let held = &self.held[&key];
        let Some(group) = &held.group else { return };
        let (id, receive_count, now) = (held.queue, held.receive_count, self.now);
        let group = group.clone();
        let queue = self.queue_mut(id);
        let own = queue.attributes.visibility_timeout;
        queue.spare_followers(now, receive_count, own);
        for follower in self.queues[&id].line.waiting_of(&group) {
            if follower != key {
                self.give_back(follower);
            }
        }
    }

    pub(super) fn start_deleting(&mut self, key: MessageKey, since: Done) {
        self.set_phase(key, Phase::Deleting { failures: 0, since });
        let (id, now) = (self.held[&key].queue, self.now);
        let may_wait = self.may_wait(key, DELETE_GATHERED_MAX);
        let queue = self.queue_mut(id);
        let by = if may_wait && queue.has_more_within(now, DELETE_GATHERED_MAX) {
            now + DELETE_GATHERED_MAX
        } else {
            now
        };
        queue.deletes.push_by(key, by);
        self.plan_upkeep(key);
    }

    /// Whether the last request for a message may be put off for so long.
    fn may_wait(&self, key: MessageKey, patience: Duration) -> bool {
        let held = &self.held[&key];
        self.stop == Stop::No && held.lease.left(self.now) > patience + self.needed_to_start(held)
    }

    /// Changes its visibility, once and for all.
    pub(super) fn release(&mut self, key: MessageKey, hidden_for: Duration) {
        self.release_within(key, hidden_for, Duration::ZERO);
    }

    /// The request may wait for others so long, if the lease and a stop let it.
    fn release_within(&mut self, key: MessageKey, hidden_for: Duration, patience: Duration) {
        let held = &self.held[&key];
        if held.lease.has_lapsed(self.now) {
            // There is nothing left to change: it is visible already.
            return self.forget(key);
        }
        let hidden_for = held.lease.hideable(self.now, hidden_for);
        let is_extending = held.is_extending;
        let by = if self.may_wait(key, patience) {
            self.now + patience
        } else {
            self.now
        };
        self.set_phase(
            key,
            Phase::Releasing {
                hidden_for,
                failures: 0,
            },
        );
        self.set_upkeep(key, None);
        if !is_extending {
            let id = self.held[&key].queue;
            self.queue_mut(id).releases.push_by(key, by);
        }
    }

    /// The driver may drop it.
    pub(super) fn forget(&mut self, key: MessageKey) {
        self.set_upkeep(key, None);
        self.leave_phase(key);
        let Some(held) = self.held.remove(&key) else {
            return;
        };
        let is_deciding = self.by_id.get(&held.id) == Some(&key);
        if is_deciding {
            self.by_id.remove(&held.id);
        }
        let sqs_id = held.sqs_id();
        if self.forwarding.get(sqs_id) == Some(&key) {
            self.forwarding.remove(sqs_id);
        }
        self.note_visible(held.phase);
        match held.phase {
            Phase::Deleting {
                since: Done::SentOn,
                ..
            } => self.sent_on.remember(sqs_id.clone()),
            Phase::Deleting {
                since: Done::ForGood,
                ..
            } => self.done.remember(held.id),
            _ => self.left.remember(held.id),
        }
        self.actions.push(Action::Forget { message: key });
    }

    pub(super) fn enter_line(&mut self, key: MessageKey) {
        self.set_phase(key, Phase::Buffered);
    }

    /// Takes the later delivery off a running one.
    fn twin_of(&mut self, key: MessageKey) -> Option<MessageKey> {
        match &mut self.held.get_mut(&key)?.phase {
            Phase::Running { twin, .. } => twin.take(),
            _ => None,
        }
    }

    pub(super) fn set_phase(&mut self, key: MessageKey, phase: Phase) {
        self.leave_phase(key);
        let held = self
            .held
            .get_mut(&key)
            .expect("only held messages change their phase");
        held.phase = phase;
        let id = held.queue;
        let queue = self.queues.get_mut(&id).expect("queues are never removed");
        if !matches!(phase, Phase::Running { .. }) {
            queue.bytes += held.bytes;
        }
        match phase {
            Phase::Buffered => queue.line.push(key, held.group.as_ref(), held.together),
            Phase::Running { run, .. } => {
                queue.line.start(key, held.group.as_ref(), held.together);
                queue.running += 1;
                queue.runs += usize::from(run == key);
            }
            Phase::Forwarding { .. } => queue.forwarding += 1,
            Phase::Deleting { .. } => queue.deleting += 1,
            Phase::Releasing { .. } => queue.releasing += 1,
            Phase::Twin { .. } => {}
        }
        self.limiters.entered(held.work, key, phase);
        self.note_turns(id);
    }

    /// Whether something of the queue may start may have changed.
    pub(super) fn note_turns(&mut self, id: QueueId) {
        let queue = &self.queues[&id];
        let is_ready = queue.line.next(self.now).is_some();
        self.fair_share.set_ready(id, is_ready);
    }

    fn leave_phase(&mut self, key: MessageKey) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        let (id, work, phase) = (held.queue, held.work, held.phase);
        let queue = self.queues.get_mut(&id).expect("queues are never removed");
        leave(queue, key, held);
        self.limiters.left(work, key, phase);
        self.note_turns(id);
        if let Phase::Twin { of } = phase
            && let Some(running) = self.held.get_mut(&of)
            && let Phase::Running { twin, .. } = &mut running.phase
        {
            twin.take_if(|twin| *twin == key);
        }
    }
}

/// Takes a message out of its queue's books.
fn leave(queue: &mut Queue, key: MessageKey, held: &Held) {
    if !matches!(held.phase, Phase::Running { .. }) {
        queue.bytes -= held.bytes;
    }
    match held.phase {
        Phase::Buffered => queue.line.remove(key, held.group.as_ref(), held.together),
        Phase::Running { run, .. } => {
            queue.line.ended(key, held.group.as_ref());
            queue.running -= 1;
            queue.runs -= usize::from(run == key);
        }
        Phase::Forwarding { .. } => queue.forwarding -= 1,
        Phase::Deleting { .. } => queue.deleting -= 1,
        Phase::Releasing { .. } => queue.releasing -= 1,
        Phase::Twin { .. } => {}
    }
}
