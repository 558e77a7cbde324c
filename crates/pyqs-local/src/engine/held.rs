//! Which contents stay in memory though the store has them: the latest, up to a budget.
//!
//! Those behind a long queue are let go of as soon as the store has them: they would be pushed out long
//! before anybody receives them, and by then their memory is cold.

use std::collections::VecDeque;

use pyqs_broker::{Broker, Change, MessageKey, Payload, QueueId};

use crate::content::Body;

/// What a held content costs beside its text, roughly: its own fields, the allocations, its place
/// in this list.
const OVERHEAD_BYTES: usize = 200;

/// Contents held in memory, in the order in which they came. Messages that are gone count until
/// their turn comes.
pub(super) struct HeldBodies {
    bodies: VecDeque<HeldBody>,
    bytes: usize,
    bytes_max: usize,
    /// Contents that stay only until the store has them.
    passing: VecDeque<HeldBody>,
}

struct HeldBody {
    queue: QueueId,
    key: MessageKey,
    bytes: usize,
    /// The commit after which the store has it.
    entry: u64,
}

impl HeldBodies {
    pub(super) fn up_to(bytes_max: usize) -> Self {
        Self {
            bodies: VecDeque::new(),
            bytes: 0,
            bytes_max,
            passing: VecDeque::new(),
        }
    }

    /// Notes the contents that `changes` brought, which the commit `entry` will keep.
    pub(super) fn note(&mut self, broker: &Broker<Body>, changes: &[Change<Body>], entry: u64) {
        for change in changes {
            let (queue, key) = match change {
                Change::MessageStored(record) => (record.queue, record.key),
                Change::MessageMoved { queue, key, .. } => (*queue, *key),
                _ => continue,
            };
            let Some(body @ Body::Held(_)) = broker.payload(queue, key) else {
                continue;
            };
            let body = HeldBody {
                queue,
                key,
                bytes: body.size() + OVERHEAD_BYTES,
                entry,
            };
            let before_it = broker.view(queue).map_or(0, |view| view.counts.visible);
            if before_it.saturating_mul(body.bytes) > self.bytes_max {
                self.passing.push_back(body);
            } else {
                self.bytes += body.bytes;
                self.bodies.push_back(body);
            }
        }
    }

    /// Lets go of the oldest beyond the budget, and of those that only pass, as far as the store has them.
    pub(super) fn shrink(&mut self, broker: &mut Broker<Body>, durable: u64) {
        let is_stored = |oldest: &mut HeldBody| oldest.entry <= durable;
        while let Some(body) = self.passing.pop_front_if(is_stored) {
            broker.replace_payload(body.queue, body.key, Body::Stored);
        }
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.bodies.pop_front_if(is_stored)
        {
            self.bytes -= oldest.bytes;
            broker.replace_payload(oldest.queue, oldest.key, Body::Stored);
        }
    }
}
