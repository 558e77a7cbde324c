//! Heartbeats, and leases that lapse.

use std::time::Duration;

use super::Consumer;
use super::replies::{Request, by_key};
use crate::action::{Action, Report};
use crate::deadlines::Deadline;
use crate::event::{BatchReply, EntryReply};
use crate::message::{Held, MessageKey, Phase, QueueId, RequestId};
use crate::settings::BATCH_MAX;
use crate::time::Instant;

/// A heartbeat that failed is tried again after a quarter of what is left of the lease, within
/// these bounds.
const HEARTBEAT_RETRY_MIN: Duration = Duration::from_millis(200);
/// The upper one.
const HEARTBEAT_RETRY_MAX: Duration = Duration::from_secs(5);

impl Consumer {
    /// What must be left of a message's lease for its task to start.
    pub(super) fn needed_to_start(&self, held: &Held) -> Duration {
        if self.settings.extend_visibility {
            self.queues[&held.queue]
                .round_trip
                .heartbeat_needs(self.now, held.lease.length())
        } else {
            Duration::from_nanos(1)
        }
    }

    /// Notes when the message's lease wants attention next.
    pub(super) fn plan_upkeep(&mut self, key: MessageKey) {
        let held = &self.held[&key];
        let until = held.lease.until();
        let slow = self.queues[&held.queue].round_trip.slow(self.now);
        let at = if self.settings.extend_visibility && !held.is_extending {
            held.lease.heartbeat_at(slow).min(until)
        } else {
            until
        };
        let is_over = held.lease.has_lapsed(self.now) && held.is_extending;
        self.set_upkeep(key, (!is_over).then_some(at));
    }

    pub(super) fn set_upkeep(&mut self, key: MessageKey, at: Option<Instant>) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let before = std::mem::replace(&mut held.upkeep_at, at);
        if before == at {
            return;
        }
        let upkeep = &mut self
            .queues
            .get_mut(&held.queue)
            .expect("queues are never removed")
            .upkeep;
        if let Some(before) = before {
            upkeep.remove(&(before, key));
        }
        if let Some(at) = at {
            upkeep.insert((at, key));
        }
    }

    /// Looks after the leases of a queue that want it now, and asks for all extensions at once.
    pub(super) fn keep_up(&mut self, id: QueueId) {
        let mut due = Vec::new();
        while let Some(key) = self.next_upkeep(id, self.now) {
            self.set_upkeep(key, None);
            self.note_lapse(key);
            self.note_end(key);
            due.push(key);
        }
        // A lapse changes others too, so the heartbeats are chosen when all lapses are known.
        let mut wanted: Vec<_> = due
            .into_iter()
            .filter_map(|key| self.heartbeat(key))
            .collect();
        // A request that is not full takes along what would be due soon.
        let soon = self.now + self.queues[&id].lease_length() / 8;
        while !wanted.len().is_multiple_of(usize::from(BATCH_MAX))
            && let Some(key) = self.next_upkeep(id, soon)
        {
            let Some(extension) = self.extension(key) else {
                break;
            };
            self.set_upkeep(key, None);
            wanted.push((key, extension));
        }
        for batch in wanted.chunks(usize::from(BATCH_MAX)) {
            self.extend(id, batch.to_vec());
        }
        let next = self.queues[&id].upkeep.first().map(|&(at, _)| at);
        self.deadlines.set(Deadline::Upkeep(id), next);
    }

    fn next_upkeep(&self, id: QueueId, until: Instant) -> Option<MessageKey> {
        self.queues[&id]
            .upkeep
            .first()
            .filter(|&&(at, _)| at <= until)
            .map(|&(_, key)| key)
    }

    /// Draws the consequences if the message's lease has lapsed.
    fn note_lapse(&mut self, key: MessageKey) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        if held.lease.has_lapsed(self.now) {
            match held.phase {
                Phase::Buffered => self.drop_lapsed(key),
                Phase::Twin { .. } => self.forget(key),
                Phase::Running { .. } => self.lose_lease(key),
                Phase::Forwarding { .. } => self.lose_forward(key),
                Phase::Deleting { .. } | Phase::Releasing { .. } => {}
            }
        }
    }

    /// Tells once that a running task will lose its message by SQS's own limit.
    fn note_end(&mut self, key: MessageKey) {
        let now = self.now;
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let is_running = matches!(held.phase, Phase::Running { .. });
        if !is_running || held.is_end_told || !held.lease.is_near_its_end(now) {
            return;
        }
        held.is_end_told = true;
        let (queue, left) = (held.queue, held.lease.left_at_most(now));
        self.report(Report::LeaseNearItsEnd {
            message: key,
            queue,
            left,
        });
    }

    /// The extension to ask for now. If there is none, the lease is looked at again at its end.
    fn heartbeat(&mut self, key: MessageKey) -> Option<(MessageKey, Duration)> {
        let extension = self.extension(key);
        if extension.is_none()
            && let Some(held) = self.held.get(&key)
            && !matches!(held.phase, Phase::Releasing { .. })
            && !held.lease.has_lapsed(self.now)
        {
            let until = held.lease.until();
            self.set_upkeep(key, Some(until));
        }
        extension.map(|extension| (key, extension))
    }

    /// How long an extension to ask for now, if one can be had.
    fn extension(&self, key: MessageKey) -> Option<Duration> {
        let held = self.held.get(&key)?;
        if !self.settings.extend_visibility || held.is_extending {
            return None;
        }
        let bound = match held.phase {
            Phase::Releasing { .. } => return None,
            Phase::Running { since, .. } => {
                self.settings.extend_visibility_max.map(|max| since + max)
            }
            _ => None,
        };
        let length = self.queues[&held.queue].lease_length();
        held.lease.extension(self.now, length, bound)
    }

    fn extend(&mut self, queue: QueueId, messages: Vec<(MessageKey, Duration)>) {
        for &(key, _) in &messages {
            if let Some(held) = self.held.get_mut(&key) {
                held.is_extending = true;
            }
            self.plan_upkeep(key);
        }
        let request = RequestId(self.new_name());
        self.actions.push(Action::ChangeVisibility {
            request,
            queue,
            messages: messages.clone(),
        });
        self.requests.insert(
            request,
            Request::Extend {
                queue,
                sent: self.now,
                messages,
            },
        );
    }

    /// A heartbeat came back.
    pub(super) fn extended(
        &mut self,
        queue: QueueId,
        sent: Instant,
        messages: Vec<(MessageKey, Duration)>,
        reply: BatchReply,
    ) {
        if reply.is_ok() {
            self.observe_round_trip(queue, sent);
        }
        let mut replies = by_key(reply.unwrap_or_default());
        for (key, length) in messages {
            self.extension_answered(
                key,
                sent,
                length,
                replies.remove(&key).unwrap_or(EntryReply::Failed),
            );
        }
    }

    fn extension_answered(
        &mut self,
        key: MessageKey,
        sent: Instant,
        length: Duration,
        reply: EntryReply,
    ) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        held.is_extending = false;
        if reply == EntryReply::Done {
            held.lease.extend(sent, length);
        }
        if let Phase::Releasing { .. } = held.phase {
            let id = held.queue;
            return self.queue_mut(id).releases.push(key);
        }
        match reply {
            EntryReply::Done => self.plan_upkeep(key),
            EntryReply::Failed => {
                let left = held.lease.left(self.now);
                let pause = if left.is_zero() {
                    HEARTBEAT_RETRY_MAX
                } else {
                    (left / 4)
                        .clamp(HEARTBEAT_RETRY_MIN, HEARTBEAT_RETRY_MAX)
                        .min(left)
                };
                self.set_upkeep(key, Some(self.now + pause));
            }
            EntryReply::ReceiptExpired | EntryReply::Refused => self.lease_is_gone(key),
        }
    }

    /// SQS said that the message is not ours any more.
    fn lease_is_gone(&mut self, key: MessageKey) {
        self.set_upkeep(key, None);
        match self.held[&key].phase {
            Phase::Buffered => self.drop_lapsed(key),
            Phase::Twin { .. } => self.forget(key),
            Phase::Running { .. } => self.lose_lease(key),
            Phase::Forwarding { .. } => self.lose_forward(key),
            // The delete is tried all the same; it may still be taken.
            Phase::Deleting { .. } | Phase::Releasing { .. } => {}
        }
    }

    /// A task runs on a lease that has lapsed: told once. Its group goes on elsewhere, so what
    /// waits of it here must not.
    fn lose_lease(&mut self, key: MessageKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let queue = held.queue;
        if let Phase::Running { is_lease_lost, .. } = &mut held.phase
            && !std::mem::replace(is_lease_lost, true)
        {
            self.counters.leases_lost += 1;
            self.report(Report::LeaseLost {
                message: key,
                queue,
            });
            self.give_back_followers(key);
        }
    }
}
