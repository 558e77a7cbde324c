//! Which contents stay in memory though the store has them: the latest, up to a budget.

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
            if let Some(body @ Body::Held(_)) = broker.payload(queue, key) {
                let bytes = body.size() + OVERHEAD_BYTES;
                self.bytes += bytes;
                self.bodies.push_back(HeldBody {
                    queue,
                    key,
                    bytes,
                    entry,
                });
            }
        }
    }

    /// Lets go of the oldest beyond the budget, as far as the store has them.
    pub(super) fn shrink(&mut self, broker: &mut Broker<Body>, durable: u64) {
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.bodies.pop_front_if(|oldest| oldest.entry <= durable)
        {
            self.bytes -= oldest.bytes;
            broker.replace_payload(oldest.queue, oldest.key, Body::Stored);
        }
    }
}
