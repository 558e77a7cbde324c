//! Deletes and changes of visibility: sent in batches, and what came of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Consumer;
use crate::ack::Batcher;
use crate::action::{Action, Report};
use crate::event::{BatchReply, EntryReply, Trouble};
use crate::message::{MessageKey, Phase, QueueId, RequestId};
use crate::queue::Queue;
use crate::time::Instant;

/// A release that failed this often is left to the message's visibility timeout.
pub const RELEASE_FAILURES_MAX: u32 = 10;

/// A request under way.
#[derive(Debug)]
pub(super) enum Request {
    Delete {
        queue: QueueId,
        sent: Instant,
        messages: Vec<MessageKey>,
    },
    Release {
        queue: QueueId,
        sent: Instant,
        messages: Vec<MessageKey>,
    },
    Forward {
        queue: QueueId,
        messages: Vec<MessageKey>,
    },
    Extend {
        queue: QueueId,
        sent: Instant,
        messages: Vec<(MessageKey, Duration)>,
    },
}

impl Consumer {
    /// Sends what has gathered.
    pub(super) fn send_acknowledgements(&mut self) {
        let now = self.now;
        let ids: Vec<QueueId> = self.queues.keys().copied().collect();
        for id in ids {
            while let Some(messages) = self.queue_mut(id).forwards.next_batch(now) {
                self.send_forward(id, messages);
            }
            while let Some(messages) = self.queue_mut(id).deletes.next_batch(now) {
                self.send_delete(id, messages);
            }
            while let Some(messages) = self.queue_mut(id).releases.next_batch(now) {
                self.send_release(id, messages);
            }
        }
    }

    fn send_delete(&mut self, queue: QueueId, messages: Vec<MessageKey>) {
        let request = RequestId(self.new_name());
        self.actions.push(Action::Delete {
            request,
            queue,
            messages: messages.clone(),
        });
        self.requests.insert(
            request,
            Request::Delete {
                queue,
                sent: self.now,
                messages,
            },
        );
    }

    fn send_release(&mut self, queue: QueueId, messages: Vec<MessageKey>) {
        let request = RequestId(self.new_name());
        let hidden = messages
            .iter()
            .filter_map(|&key| match self.held.get(&key)?.phase {
                Phase::Releasing { hidden_for, .. } => Some((key, hidden_for)),
                _ => None,
            });
        let hidden = hidden.collect();
        self.actions.push(Action::ChangeVisibility {
            request,
            queue,
            messages: hidden,
        });
        self.requests.insert(
            request,
            Request::Release {
                queue,
                sent: self.now,
                messages,
            },
        );
    }

    pub(super) fn deleted(&mut self, request: RequestId, reply: BatchReply) {
        let Some(Request::Delete {
            queue,
            sent,
            messages,
        }) = self.requests.remove(&request)
        else {
            return;
        };
        let trouble = self.note_reply(queue, sent, &reply, |queue| &mut queue.deletes);
        self.tell_of_deletes(queue, trouble);
        let mut replies = by_key(reply.unwrap_or_default());
        for key in messages {
            let reply = replies.remove(&key).unwrap_or(EntryReply::Failed);
            match reply {
                // With its queue the message is gone, and the receives tell of that.
                _ if trouble == Some(Trouble::QueueMissing) => self.forget(key),
                EntryReply::Done => {
                    self.counters.deleted += 1;
                    self.forget(key);
                }
                EntryReply::ReceiptExpired | EntryReply::Refused => self.give_up_delete(key),
                EntryReply::Failed => self.retry_delete(key),
            }
        }
    }

    fn tell_of_deletes(&mut self, id: QueueId, trouble: Option<Trouble>) {
        let now = self.now;
        let watch = &mut self.queue_mut(id).delete_watch;
        match trouble {
            None => {
                if watch.worked() {
                    self.report(Report::DeletesTaken { queue: id });
                }
            }
            Some(trouble @ (Trouble::Denied | Trouble::Rejected)) => {
                if watch.failed(now, trouble) {
                    self.report(Report::DeletesRefused { queue: id, trouble });
                }
            }
            // The receives tell of it.
            Some(_) => {}
        }
    }

    pub(super) fn visibility_changed(&mut self, request: RequestId, reply: BatchReply) {
        match self.requests.remove(&request) {
            Some(Request::Release {
                queue,
                sent,
                messages,
            }) => self.released(queue, sent, messages, reply),
            Some(Request::Extend {
                queue,
                sent,
                messages,
            }) => self.extended(queue, sent, messages, reply),
            // Others' names can't come here from a driver that keeps them apart.
            Some(Request::Delete { .. } | Request::Forward { .. }) | None => {}
        }
    }

    fn released(
        &mut self,
        queue: QueueId,
        sent: Instant,
        messages: Vec<MessageKey>,
        reply: BatchReply,
    ) {
        let trouble = self.note_reply(queue, sent, &reply, |queue| &mut queue.releases);
        let mut replies = by_key(reply.unwrap_or_default());
        for key in messages {
            let reply = replies.remove(&key).unwrap_or(EntryReply::Failed);
            if reply == EntryReply::Failed && trouble != Some(Trouble::QueueMissing) {
                self.retry_release(key);
            } else {
                self.forget(key);
            }
        }
    }

    pub(super) fn give_up_delete(&mut self, key: MessageKey) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        self.counters.deletes_given_up += 1;
        self.report(Report::DeleteGivenUp {
            message: key,
            queue: held.queue,
        });
        self.forget(key);
    }

    fn retry_delete(&mut self, key: MessageKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let Phase::Deleting { failures, .. } = &mut held.phase else {
            return;
        };
        *failures += 1;
        let failures = *failures;
        // Beyond the twelve hours SQS takes no receipt of this delivery.
        if held.lease.is_at_its_end(self.now) {
            return self.give_up_delete(key);
        }
        let queue = self
            .queues
            .get_mut(&held.queue)
            .expect("queues are never removed");
        queue
            .deletes
            .retry(self.now, key, failures, &mut self.jitter);
    }

    fn retry_release(&mut self, key: MessageKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let Phase::Releasing { failures, .. } = &mut held.phase else {
            return;
        };
        *failures += 1;
        let failures = *failures;
        if failures >= RELEASE_FAILURES_MAX || held.lease.has_lapsed(self.now) {
            return self.forget(key);
        }
        let queue = self
            .queues
            .get_mut(&held.queue)
            .expect("queues are never removed");
        queue
            .releases
            .retry(self.now, key, failures, &mut self.jitter);
    }

    /// What a reply tells about the endpoint rather than about its messages.
    fn note_reply(
        &mut self,
        id: QueueId,
        sent: Instant,
        reply: &BatchReply,
        batcher: impl Fn(&mut Queue) -> &mut Batcher,
    ) -> Option<Trouble> {
        let now = self.now;
        let queue = self.queues.get_mut(&id).expect("queues are never removed");
        let jitter = &mut self.jitter;
        match reply {
            Ok(_) => batcher(queue).answered(),
            Err(_) => batcher(queue).failed(now, jitter),
        }
        if reply.is_ok() {
            self.observe_round_trip(id, sent);
        }
        reply.as_ref().err().copied()
    }

    /// An answered request tells how long replies may be under way.
    pub(super) fn observe_round_trip(&mut self, id: QueueId, sent: Instant) {
        let now = self.now;
        let took = self.ticks.round_trip(now, sent);
        let queue = self.queue_mut(id);
        let is_slow = took > queue.round_trip.transit(now, queue.lease_length());
        queue.round_trip.observe(now, took);
        self.counters.slow_replies += u64::from(is_slow);
    }
}

/// The entries of a reply by message.
pub(super) fn by_key(entries: Vec<(MessageKey, EntryReply)>) -> BTreeMap<MessageKey, EntryReply> {
    entries.into_iter().collect()
}
