//! Messages that are sent on: by hops until their time has come, and to dead-letter queues. The new
//! message comes first, and what is here is deleted only when SQS has confirmed it.

use std::time::Duration;

use super::Consumer;
use super::replies::{Request, by_key};
use crate::action::{Action, Onward, Report};
use crate::event::{BatchReply, EntryReply, Trouble};
use crate::message::{Done, Held, MessageKey, Phase, QueueId, RequestId};
use crate::time::{Instant, whole_secs_up};

/// The longest delay of a message (AWS: `SendMessage`, `DelaySeconds`).
pub const HOP_MAX: Duration = Duration::from_mins(15);

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
        };
        self.set_phase(key, phase);
        let held = &self.held[&key];
        // The message that is made of it carries the same id, and is another matter.
        if self.by_id.get(&held.id) == Some(&key) {
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
        match onward {
            Onward::Hop { .. } => self.counters.hops += 1,
            Onward::DeadLetter => self.counters.dead_lettered += 1,
        }
        let queue = self.held[&key].queue;
        self.report(Report::SentOn {
            message: key,
            queue,
            onward,
        });
        self.start_deleting(key, Done::SentOn);
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
        } = &mut held.phase
        else {
            return;
        };
        *failures += 1;
        *is_under_way = false;
        let failures = *failures;
        let is_over = match onward {
            Onward::Hop { .. } => held.lease.has_lapsed(self.now),
            Onward::DeadLetter => held.lease.is_at_its_end(self.now),
        };
        if is_over {
            return self.forget(key);
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
    /// after a success, or a task that outlives its lease would run for ever.
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
