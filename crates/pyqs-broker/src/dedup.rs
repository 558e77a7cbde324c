//! FIFO deduplication: which ids were sent in the last five minutes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::ids::MessageKey;
use crate::time::Timestamp;

/// A deduplication id and the group in which it counts, if not in the whole queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeduplicationKey {
    pub(crate) scope: Option<Arc<str>>,
    pub(crate) id: Arc<str>,
}

/// The ids that a queue remembers, whether their messages are still there or not.
#[derive(Debug, Default)]
pub(crate) struct Deduplication {
    messages: BTreeMap<DeduplicationKey, MessageKey>,
    /// In the order in which they are forgotten.
    expiries: VecDeque<(Timestamp, DeduplicationKey)>,
}

impl Deduplication {
    /// The message that was sent with this id.
    pub(crate) fn message(&self, key: &DeduplicationKey) -> Option<MessageKey> {
        self.messages.get(key).copied()
    }

    pub(crate) fn remember(
        &mut self,
        key: DeduplicationKey,
        message: MessageKey,
        until: Timestamp,
    ) {
        self.messages.insert(key.clone(), message);
        // Loaded ids may come in any order; sent ones are the latest.
        let place = self.expiries.partition_point(|(at, _)| *at <= until);
        self.expiries.insert(place, (until, key));
    }

    pub(crate) fn forget_until(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.expiries.front()
            && *until <= now
        {
            if let Some((_, key)) = self.expiries.pop_front() {
                self.messages.remove(&key);
            }
        }
    }

    /// Forgets the ids of a message that was not kept after all.
    pub(crate) fn forget_message(&mut self, message: MessageKey) {
        let count = self.messages.len();
        self.messages.retain(|_, sent| *sent != message);
        if self.messages.len() < count {
            self.expiries
                .retain(|(_, key)| self.messages.contains_key(key));
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.front().map(|(until, _)| *until)
    }
}
