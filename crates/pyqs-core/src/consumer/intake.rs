//! Receives that came back.

use super::Consumer;
use crate::action::{Onward, Report};
use crate::event::Trouble;
use crate::fetch::{Counts, Health, Open};
use crate::lease::Lease;
use crate::line::Together;
use crate::message::{Arrival, Done, Held, MessageKey, Phase, PollId, QueueId, Work};
use crate::settings::GATHERED_MAX;
use crate::stop::Stop;

impl Consumer {
    pub(super) fn received(&mut self, poll: PollId, messages: Vec<Arrival>) {
        let Some(id) = self.polls.remove(&poll) else {
            return;
        };
        let now = self.now;
        let count = messages.len();
        let most = self.settings.batch_max;
        let queue = self.queue_mut(id);
        let Some(&open) = queue.poller.get(poll) else {
            return;
        };
        if count > 0 {
            queue.had_messages_at = Some(now);
        }
        let batch_max = queue.batch_max(now, most);
        let lease = self.lease_of(id, open);
        let usable = messages
            .into_iter()
            .map(|arrival| self.arrived(id, arrival, lease))
            .filter(|&is_usable| is_usable)
            .count();
        let counts = Counts {
            count,
            usable,
            batch_max,
        };
        let queue = self.queues.get_mut(&id).expect("it was there above");
        let health = queue.poller.completed(poll, now, counts, &mut self.jitter);
        if health == Health::Recovered {
            self.report(Report::PollRecovered { queue: id });
        }
    }

    pub(super) fn receive_failed(&mut self, poll: PollId, trouble: Trouble) {
        let Some(id) = self.polls.remove(&poll) else {
            return;
        };
        let queue = self.queues.get_mut(&id).expect("queues are never removed");
        let health = queue
            .poller
            .failed(poll, self.now, trouble, &mut self.jitter);
        // A receive that was abandoned at a stop is no trouble.
        if self.stop == Stop::No {
            self.counters.polls_failed += 1;
            if health == Health::Troubled {
                self.report(Report::PollTrouble { queue: id, trouble });
            }
        }
    }

    /// The lease of what a receive brought, counted from the earliest moment at which SQS can have
    /// started it.
    fn lease_of(&self, id: QueueId, open: Open) -> Lease {
        let transit = self.queues[&id]
            .round_trip
            .transit(self.now, open.visibility);
        Lease::new(
            self.ticks.lease_began(self.now, open.sent, transit),
            open.visibility,
        )
    }

    /// Takes in one delivery; tells whether there was anything left to do with it.
    fn arrived(&mut self, queue: QueueId, arrival: Arrival, lease: Lease) -> bool {
        self.counters.received += 1;
        let key = arrival.key;
        if self.held.contains_key(&key) {
            return false;
        }
        let of = self.queue_mut(queue);
        of.unreadable.observe(arrival.work == Work::Poison);
        of.poller.observe_size(arrival.bytes);
        of.bytes += arrival.bytes;
        let is_fifo = of.attributes.is_fifo;
        let together = self.together(queue, &arrival, lease);
        let earlier = self.by_id.get(&arrival.id).copied();
        let is_done = self.done.contains(&arrival.id);
        let is_sent_on = self
            .sent_on
            .contains(arrival.hop_id.as_ref().unwrap_or(&arrival.id));
        let is_explained =
            is_done || is_sent_on || earlier.is_some() || self.left.contains(&arrival.id);
        self.counters.unexplained += u64::from(arrival.receive_count > 1 && !is_explained);
        let held = Held {
            together,
            ..Held::new(arrival, queue, is_fifo, lease)
        };
        self.held.insert(key, held);
        let sqs_id = self.held[&key].sqs_id();
        let earlier_send = self.forwarding.get(sqs_id).copied();
        match earlier_send.map(|earlier| (earlier, self.held[&earlier].phase)) {
            Some((earlier, Phase::Forwarding { .. })) => return self.meet_forward(key, earlier),
            Some((_, Phase::Deleting { .. })) => return self.delete_duplicate(key, Done::SentOn),
            _ if is_sent_on => return self.delete_duplicate(key, Done::SentOn),
            _ => {}
        }
        match earlier.map(|earlier| (earlier, self.held[&earlier].phase)) {
            _ if is_done => return self.delete_duplicate(key, Done::ForGood),
            Some((_, Phase::Deleting { .. })) => return self.delete_duplicate(key, Done::ForGood),
            // Another message of the same logical id, whose task has run.
            Some((
                earlier,
                Phase::Forwarding {
                    onward: Onward::Callbacks,
                    ..
                },
            )) => return self.meet_forward(key, earlier),
            Some((earlier, Phase::Running { .. })) => self.share_fate(key, earlier),
            Some((earlier, Phase::Buffered)) => {
                self.report(Report::Redelivered {
                    message: key,
                    earlier,
                });
                self.counters.redelivered += 1;
                self.wait_as_long(key, earlier);
                self.drop_lapsed(earlier);
                return self.take_on(key);
            }
            _ => return self.take_on(key),
        }
        true
    }

    /// How a message is to start with others of its kind.
    fn together(&mut self, queue: QueueId, arrival: &Arrival, lease: Lease) -> Option<Together> {
        let (Work::Task(kind), Some(gather)) = (arrival.work, arrival.gather) else {
            return None;
        };
        let max = usize::try_from(gather.max).unwrap_or(usize::MAX);
        let max = max.clamp(1, GATHERED_MAX);
        let queue = self.queue_mut(queue);
        queue.gathers = queue.gathers.max(max);
        let by = self.now + gather.wait;
        // A lease that is not extended must leave time for the run.
        let by = if self.settings.extend_visibility {
            by
        } else {
            by.min(lease.until() - lease.length() / 2)
        };
        Some(Together { kind, max, by })
    }

    /// It waits for others to start with no longer than the delivery before it would have, or two messages of one
    /// logical id, each of which comes before the other's wait is over, would wait for ever.
    fn wait_as_long(&mut self, key: MessageKey, earlier: MessageKey) {
        let before = self.held[&earlier].together;
        let together = self
            .held
            .get_mut(&key)
            .and_then(|held| held.together.as_mut());
        if let (Some(together), Some(before)) = (together, before) {
            together.by = together.by.min(before.by);
        }
    }

    /// A delivery of a message that is not held by another one.
    fn take_on(&mut self, key: MessageKey) -> bool {
        let held = &self.held[&key];
        self.by_id.insert(held.id.clone(), key);
        let needs = self.needed_to_start(held);
        let is_locked = held.group.is_some();
        if self.stop != Stop::No {
            self.enter_line(key);
            self.give_back(key);
        } else if held.lease.left(self.now) < needs {
            self.enter_line(key);
            self.drop_lapsed(key);
            return false;
        } else if held.work == Work::Poison && !is_locked {
            self.enter_line(key);
            self.poison(key);
        } else if held.is_expired(self.now) {
            self.enter_line(key);
            self.expire(key);
        } else if let Some(due) = held.due.filter(|&due| due > self.now && !is_locked) {
            let attempts = self.attempts_before(held);
            self.enter_line(key);
            self.hop(key, due, attempts);
        } else if let Work::Task(kind) = held.work
            && self.is_beyond_limits(held)
        {
            self.enter_line(key);
            self.wait_for_turn(key, kind);
            return false;
        } else {
            // Poison of a message group, and what is not due, wait for their turn: they must not
            // be hidden before what comes earlier has run.
            self.enter_line(key);
            self.plan_upkeep(key);
        }
        true
    }

    /// It is being sent on by an earlier delivery, whose lease was lost. When it comes once more,
    /// that is known to be done or not. But the head of a message group comes with its followers,
    /// which must not start meanwhile: it begins anew.
    fn meet_forward(&mut self, key: MessageKey, earlier: MessageKey) -> bool {
        self.report(Report::Redelivered {
            message: key,
            earlier,
        });
        self.counters.redelivered += 1;
        match self.held[&earlier].phase {
            // Its task has run, and does not begin anew. The new delivery has the better lease.
            Phase::Forwarding {
                onward: Onward::Callbacks,
                is_under_way: false,
                ..
            } if self.held[&earlier].sqs_id() == self.held[&key].sqs_id() => {
                self.drop_forward(earlier);
                self.by_id.insert(self.held[&key].id.clone(), key);
                self.forward(key, Onward::Callbacks);
            }
            Phase::Forwarding {
                onward: Onward::Hop { .. } | Onward::DeadLetter,
                ..
            } if self.held[&key].group.is_some() => {
                self.drop_forward(earlier);
                return self.take_on(key);
            }
            _ => self.forget(key),
        }
        true
    }

    /// A message that was done with came again: its task does not run again.
    fn delete_duplicate(&mut self, key: MessageKey, since: Done) -> bool {
        let queue = self.held[&key].queue;
        self.report(Report::DuplicateDeleted {
            message: key,
            queue,
        });
        self.counters.duplicates_deleted += 1;
        self.start_deleting(key, since);
        true
    }

    /// A message that runs came again: whatever becomes of the run becomes of both deliveries.
    fn share_fate(&mut self, key: MessageKey, running: MessageKey) {
        self.report(Report::Redelivered {
            message: key,
            earlier: running,
        });
        self.counters.redelivered += 1;
        let held = self
            .held
            .get_mut(&running)
            .expect("the caller looked it up");
        let Phase::Running { twin, .. } = &mut held.phase else {
            return;
        };
        let before = twin.replace(key);
        if let Some(before) = before {
            self.forget(before);
        }
        self.set_phase(key, Phase::Twin { of: running });
        self.plan_upkeep(key);
    }
}
