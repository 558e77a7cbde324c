//! Tasks that run on when the consumer that started them is no more.

use std::time::Duration;

use super::Consumer;
use crate::action::Action;
use crate::lease::Lease;
use crate::message::{Arrival, Held, MessageKey, Phase, ProcessId, QueueId};
use crate::pool::Expectation;
use crate::time::Instant;

impl Consumer {
    /// From now on the leases and the end of a run are this consumer's. Its messages were received then, or later.
    pub(super) fn adopt(
        &mut self,
        process: ProcessId,
        queue: QueueId,
        messages: Vec<Arrival>,
        received: Instant,
    ) {
        let mut adopted: Vec<MessageKey> = Vec::new();
        for arrival in messages {
            let key = arrival.key;
            let is_known = self.held.contains_key(&key) || self.by_id.contains_key(&arrival.id);
            if is_known || !self.queues.contains_key(&queue) {
                self.actions.push(Action::Forget { message: key });
                continue;
            }
            adopted.push(key);
            self.adopt_one(process, queue, (arrival, adopted[0]), received);
        }
        let Some(&run) = adopted.first() else { return };
        self.pool.add(process, None, self.now);
        // Its share of the slots is charged when it ends.
        let task = Expectation {
            takes: Duration::ZERO,
            is_short: false,
        };
        self.pool.give(process, run, adopted.len(), task, self.now);
        self.pool.retire(process);
        if adopted.len() > 1 {
            self.runs.insert(run, adopted);
        }
    }

    fn adopt_one(
        &mut self,
        process: ProcessId,
        queue: QueueId,
        (arrival, run): (Arrival, MessageKey),
        received: Instant,
    ) {
        let key = arrival.key;
        self.by_id.insert(arrival.id.clone(), key);
        let of = &self.queues[&queue];
        let lease = Lease::adopted(self.now, received, of.lease_length());
        let held = Held {
            is_adopted: true,
            ..Held::new(arrival, queue, of.attributes.is_fifo, lease)
        };
        let bytes = held.bytes;
        self.held.insert(key, held);
        // Until it is known to run.
        self.queue_mut(queue).bytes += bytes;
        let running = Phase::Running {
            process,
            run,
            since: received,
            twin: None,
            is_lease_lost: false,
        };
        self.set_phase(key, running);
        if let Some(quota) = &mut self.quota {
            quota.began();
        }
        self.plan_upkeep(key);
    }
}
