//! Messages that are sent on: by hops until their time has come, and to dead-letter queues; and those that are
//! to follow a task, its callbacks. The new message comes first, and what is here is deleted only when SQS has
//! confirmed it.

use std::time::Duration;

use super::Consumer;
use super::replies::{Request, by_key};
use crate::action::{Action, Onward, Report};
use crate::event::{BatchReply, EntryReply, Trouble};
use crate::message::{Done, Held, MessageKey, Phase, QueueId, RequestId};
use crate::retry::Backoff;
use crate::time::{Instant, whole_secs_up};

/// The longest delay of a message (AWS: `SendMessage`, `DelaySeconds`).
pub const HOP_MAX: Duration = Duration::from_mins(15);

/// How callbacks that were refused are sent again: a person must do something, as make their queue.
const CALLBACKS_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_mins(1),
};

impl Consumer {
    /// Its time has not come: it is sent on until then. It is not hidden here for so long, since
    /// that would hold a place of what SQS lets be in flight, and spend receives.
    pub(super) fn hop(&mut self, key: MessageKey, due: Instant, attempts: u32) {
        let left = whole_secs_up(due.saturating_since(self.now));
        let delay = left.min(HOP_MAX);
        let hop = Onward::Hop {
            delay,
            due,
            attempts,
        };
        self.forward(key, hop);
    }

    /// The head of a message group is not due. On a FIFO queue SQS delays no single message (AWS:
    /// `SendMessage`, `DelaySeconds`), and one sent again would be behind its followers: so it is
    /// hidden, and they wait with it.
    pub(super) fn wait_as_group(&mut self, key: MessageKey) {
        let held = &self.held[&key];
        let left = held.due.unwrap_or_default().saturating_since(self.now);
        let hidden_for = held.lease.hideable(self.now, whole_secs_up(left));
        self.report(Report::GroupWaits {
            message: key,
            queue: held.queue,
            hidden_for,
        });
        self.give_back_followers(key);
        self.note_unrun(key);
        self.release(key, hidden_for);
    }

    /// It is to be sent on.
    pub(super) fn forward(&mut self, key: MessageKey, onward: Onward) {
        let phase = Phase::Forwarding {
            onward,
            failures: 0,
            is_under_way: false,
            is_refusal_told: false,
        };
        self.set_phase(key, phase);
        let held = &self.held[&key];
        // The message that is made of it carries the same id, and is another matter; of callbacks none is made
        // of it, and its task must not run again meanwhile.
        let is_about_itself = onward != Onward::Callbacks;
        if is_about_itself && self.by_id.get(&held.id) == Some(&key) {
            self.by_id.remove(&held.id);
        }
        self.forwarding.insert(held.sqs_id().clone(), key);
        let queue = held.queue;
        self.queue_mut(queue).forwards.push(key);
        self.plan_upkeep(key);
    }

    pub(super) fn send_forward(&mut self, queue: QueueId, messages: Vec<MessageKey>) {
        let request = RequestId(self.new_name());
        let onwards = messages.iter().filter_map(|&key| {
            let Phase::Forwarding {
                onward,
                is_under_way,
                ..
            } = &mut self.held.get_mut(&key)?.phase
            else {
                return None;
            };
            *is_under_way = true;
            Some((key, *onward))
        });
        let onwards = onwards.collect();
        self.actions.push(Action::Forward {
            request,
            queue,
            messages: onwards,
        });
        self.requests
            .insert(request, Request::Forward { queue, messages });
    }

    /// A request to send messages on came back.
    pub(super) fn forwarded(&mut self, request: RequestId, reply: BatchReply) {
        let Some(Request::Forward { queue, messages }) = self.requests.remove(&request) else {
            return;
        };
        let now = self.now;
        let trouble = reply.as_ref().err().copied();
        let forwards = &mut self
            .queues
            .get_mut(&queue)
            .expect("queues are never removed")
            .forwards;
        match trouble {
            None => forwards.answered(),
            Some(_) => forwards.failed(now, &mut self.jitter),
        }
        let mut replies = by_key(reply.unwrap_or_default());
        for key in messages {
            match (replies.remove(&key), trouble) {
                (Some(EntryReply::Done), _) => self.sent_on(key),
                (Some(EntryReply::Refused | EntryReply::ReceiptExpired), _)
                | (None, Some(Trouble::Denied | Trouble::QueueMissing | Trouble::Rejected)) => {
                    self.forward_refused(key);
                }
                (Some(EntryReply::Failed), _) | (None, Some(Trouble::Throttled)) => {
                    self.retry_forward(key);
                }
                (None, _) => {
                    self.note_unsure(key);
                    self.retry_forward(key);
                }
            }
        }
    }

    fn sent_on(&mut self, key: MessageKey) {
        let Some(Phase::Forwarding { onward, .. }) = self.held.get(&key).map(|held| held.phase)
        else {
            return;
        };
        let (counter, done) = match onward {
            Onward::Hop { .. } => (&mut self.counters.hops, Done::SentOn),
            Onward::DeadLetter => (&mut self.counters.dead_lettered, Done::SentOn),
            Onward::Callbacks => (&mut self.counters.callbacks_sent, Done::ForGood),
        };
        *counter += 1;
        let queue = self.held[&key].queue;
        self.report(Report::SentOn {
            message: key,
            queue,
            onward,
        });
        self.start_deleting(key, done);
    }

    /// It stays where it is: until it is due, or for the queue's own visibility timeout.
    fn forward_refused(&mut self, key: MessageKey) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        let Phase::Forwarding { onward, .. } = held.phase else {
            return;
        };
        let wanted = match onward {
            Onward::Hop { due, .. } => whole_secs_up(due.saturating_since(self.now)),
            Onward::DeadLetter => self.queues[&held.queue].attributes.visibility_timeout,
            Onward::Callbacks => return self.callbacks_refused(key),
        };
        let hidden_for = held.lease.hideable(self.now, wanted);
        self.counters.forwards_refused += 1;
        self.report(Report::ForwardRefused {
            message: key,
            queue: held.queue,
            onward,
            hidden_for,
        });
        if matches!(onward, Onward::Hop { .. }) {
            self.note_unrun(key);
        }
        self.release(key, hidden_for);
    }

    /// Its task has run, and must not run again for want of a queue, say: it is kept, and they are sent again.
    fn callbacks_refused(&mut self, key: MessageKey) {
        self.counters.forwards_refused += 1;
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let Phase::Forwarding {
            failures,
            is_under_way,
            is_refusal_told,
            ..
        } = &mut held.phase
        else {
            return;
        };
        *failures = failures.saturating_add(1);
        *is_under_way = false;
        let is_first = !std::mem::replace(is_refusal_told, true);
        let pause = CALLBACKS_BACKOFF.pause(*failures, &mut self.jitter);
        let queue = held.queue;
        if held.lease.is_at_its_end(self.now) {
            return self.give_up_callbacks(key);
        }
        if is_first {
            self.report(Report::ForwardRefused {
                message: key,
                queue,
                onward: Onward::Callbacks,
                hidden_for: pause,
            });
        }
        let at = self.now + pause;
        self.queue_mut(queue).forwards.retry_at(at, key);
    }

    /// What is to follow its task is not sent from here.
    pub(super) fn give_up_callbacks(&mut self, key: MessageKey) {
        let queue = self.held[&key].queue;
        self.counters.callbacks_given_up += 1;
        self.report(Report::CallbacksGivenUp {
            message: key,
            queue,
        });
        self.forget(key);
    }

    /// The answer may have been lost, and not the request.
    fn note_unsure(&mut self, key: MessageKey) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        self.counters.forwards_unsure += 1;
        self.report(Report::ForwardUnsure {
            message: key,
            queue: held.queue,
        });
    }

    fn retry_forward(&mut self, key: MessageKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let Phase::Forwarding {
            onward,
            failures,
            is_under_way,
            ..
        } = &mut held.phase
        else {
            return;
        };
        *failures += 1;
        *is_under_way = false;
        let failures = *failures;
        match onward {
            Onward::Hop { .. } if held.lease.has_lapsed(self.now) => return self.forget(key),
            Onward::DeadLetter if held.lease.is_at_its_end(self.now) => return self.forget(key),
            Onward::Callbacks if held.lease.is_at_its_end(self.now) => {
                return self.give_up_callbacks(key);
            }
            _ => {}
        }
        let queue = self
            .queues
            .get_mut(&held.queue)
            .expect("queues are never removed");
        queue
            .forwards
            .retry(self.now, key, failures, &mut self.jitter);
    }

    /// The lease of a message to be sent on was lost. A hop is left to whoever gets it next, unless
    /// it is on its way; but what has failed for good is sent all the same, as it would be deleted
    /// after a success, or a task that outlives its lease would run for ever. So are callbacks.
    pub(super) fn lose_forward(&mut self, key: MessageKey) {
        let held = &self.held[&key];
        if let Phase::Forwarding {
            onward: Onward::Hop { .. },
            is_under_way: false,
            ..
        } = held.phase
        {
            self.drop_forward(key);
        }
    }

    /// It is not sent on, unless it is on its way.
    pub(super) fn drop_forward(&mut self, key: MessageKey) {
        let queue = self.held[&key].queue;
        self.queue_mut(queue).forwards.remove(key);
        self.forget(key);
    }

    /// Runs that a message has had before this delivery, as far as can be told: of its receives
    /// only those are left out which are known to have run nothing.
    pub(super) fn attempts_before(&self, held: &Held) -> u32 {
        let receives = held.receive_count.saturating_sub(1);
        let unrun = self.unrun.times(held.sqs_id());
        receives
            .saturating_sub(unrun)
            .saturating_add(held.attempts_before)
    }

    /// This receive of it ran nothing.
    pub(super) fn note_unrun(&mut self, key: MessageKey) {
        let id = self.held[&key].sqs_id().clone();
        self.unrun.remember(id);
    }
}
