//! Receives that are asked for.

use super::Consumer;
use crate::action::Action;
use crate::fetch::{Attempt, EXTRA_WAIT, Open, PREFETCH};
use crate::message::{PollId, QueueId};
use crate::schedule::starts_within;
use crate::stop::Stop;

impl Consumer {
    /// Asks for messages wherever they are needed.
    pub(super) fn fetch(&mut self) {
        if self.stop != Stop::No || self.pool.slots() == 0 {
            return;
        }
        let active = self
            .queues
            .values()
            .filter(|queue| queue.is_active(self.now))
            .count();
        let share = (self.settings.buffer_max / active.max(1)).max(1);
        let share_bytes = self.settings.buffer_bytes_max / active.max(1);
        let most = self.settings.batch_max;
        let buffered: usize = self.queues.values().map(|queue| queue.line.len()).sum();
        let by_quota = self.may_begin().saturating_sub(buffered);
        let bytes = self.queues.values();
        let bytes = bytes.map(|queue| queue.bytes + queue.poller.expected_bytes());
        let mut bytes: usize = bytes.sum();
        let ids: Vec<QueueId> = self.queues.keys().copied().collect();
        for id in ids {
            if self.is_queue_drained(id) {
                continue;
            }
            let wanted_in_all = self.wanted(id);
            loop {
                let queue = &self.queues[&id];
                let buffered = queue.line.len();
                // One run must find room, however small the share.
                let share = share.max(queue.gathers);
                let has_enough = self.pool.free() == 0
                    && queue.waits_for_slots()
                    && buffered > wanted_in_all.min(share) / 2;
                let left = self.settings.buffer_bytes_max.saturating_sub(bytes);
                let by_bytes = queue.poller.room_by_bytes(queue.bytes, share_bytes, left);
                let next = queue.poller.next_max(
                    self.now,
                    queue.batch_max(self.now, most),
                    wanted_in_all.saturating_sub(buffered).min(by_quota),
                    share.saturating_sub(buffered).min(by_bytes),
                    has_enough,
                );
                let Some(max) = next.filter(|_| !queue.is_clogged()) else {
                    break;
                };
                bytes += self.receive(id, max);
            }
        }
    }

    /// How many messages of a queue should be here: what will start within about a second, going
    /// by its rate, or by the slots that are free for it.
    fn wanted(&mut self, id: QueueId) -> usize {
        let now = self.now;
        let free = self.pool.free();
        let is_reserved = free == 1 && self.pool.slots() > 1 && self.reserved_until(id).is_some();
        let slots = self.pool.slots();
        let queue = self.queue_mut(id);
        let free = if is_reserved {
            0
        } else {
            free.min(queue.allowance())
        };
        let rate = queue.starts.expected(now, PREFETCH);
        // What a limited rate would hold back for longer is left to others.
        let by_limit = queue.throttle.map_or(usize::MAX, |throttle| {
            let runs = throttle.starts_within(now, PREFETCH);
            runs.saturating_mul(queue.gathers)
        });
        // What waits for others to start with gets them while a slot is free for it.
        let together = match queue.line.missing() {
            missing if missing > 0 && free > 0 => queue.line.len() + missing,
            _ => 0,
        };
        // Of tasks of unknown length one is fetched for each free slot: they may be long, and what
        // is taken ahead is kept from other workers and spends a receive.
        let tasks = queue.hold_mean().map_or(free, |task| {
            let by_slots = free.saturating_mul(starts_within(PREFETCH, task).max(1));
            let at_most = starts_within(PREFETCH.saturating_mul(queue.slots_at_most(slots)), task);
            by_slots.max(rate.min(at_most.saturating_mul(queue.gathers)))
        });
        let tasks = tasks.max(together).min(by_limit);
        queue.unreadable.make_up(tasks)
    }

    /// Asks for so many; says how many bytes that may bring.
    fn receive(&mut self, id: QueueId, max: u8) -> usize {
        let now = self.now;
        let poll = PollId(self.new_name());
        let name = self.new_name();
        let wait = self.settings.wait;
        let queue = self.queue_mut(id);
        let visibility = queue.lease_length();
        let lost = queue.poller.take_lost(now);
        let fresh = Attempt {
            number: name,
            since: now,
            max,
            visibility,
        };
        let attempt = queue.attributes.is_fifo.then(|| lost.unwrap_or(fresh));
        let (max, visibility) = attempt.map_or((max, visibility), |attempt| {
            (attempt.max, attempt.visibility)
        });
        let wait = if queue.poller.is_open() {
            wait.min(EXTRA_WAIT)
        } else {
            wait
        };
        let bytes = queue.poller.bytes_of(max);
        queue.poller.opened(
            poll,
            Open {
                sent: now,
                max,
                bytes,
                wait,
                visibility,
                attempt,
            },
        );
        self.polls.insert(poll, id);
        let attempt = attempt.map(|attempt| attempt.number);
        self.actions.push(Action::Receive {
            poll,
            queue: id,
            max,
            wait,
            visibility,
            attempt,
        });
        bytes
    }
}
