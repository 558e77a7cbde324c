//! A full disk: sends that can't be kept are undone and refused, and everything else goes on in the
//! room that the store has kept for it.

use std::collections::BTreeMap;

use pyqs_broker::{Change, MessageKey, QueueId};

use super::commit::Writer;
use crate::content::Body;
use crate::error::ApiError;

impl Writer {
    /// After a commit that met a full disk. False where even the rest has no room.
    pub(super) fn commit_without_sends(&mut self) -> bool {
        let Some(engine) = self.engine.upgrade() else {
            return false;
        };
        // Nobody acts meanwhile, so that no answer rests on a send that will be undone.
        let mut state = engine.lock();
        self.gather_rest();
        state.is_full = true;
        self.is_full = true;
        for (key, queue) in self.undo_sends() {
            state.broker.unsend(queue, key);
        }
        drop(state);
        loop {
            let is_more_left = self.store.make_room();
            if self.unkept.is_empty() || self.store.commit(&self.unkept).is_ok() {
                return true;
            }
            if !is_more_left {
                return false;
            }
        }
    }

    /// Tells the engine when there is no room any more, and when there is again.
    pub(super) fn look_for_room(&mut self) {
        let is_full = !self.store.has_room();
        if is_full != self.is_full
            && let Some(engine) = self.engine.upgrade()
        {
            engine.lock().is_full = is_full;
            self.is_full = is_full;
        }
    }

    /// Takes the messages that were not kept out of the changes, and refuses whoever waits for one.
    /// Returns the messages.
    fn undo_sends(&mut self) -> BTreeMap<MessageKey, QueueId> {
        let undone = sent(&self.unkept);
        let is_undone = |change: &Change<Body>| {
            message(change).is_some_and(|message| undone.contains_key(&message))
        };
        // A send that changed nothing was the duplicate of one that may be undone now.
        let has_duplicates = self
            .unkept
            .iter()
            .any(|change| matches!(change, Change::Deduplicated { .. }) && is_undone(change));
        for waiter in std::mem::take(&mut self.waiters) {
            let changes = &self.unkept[waiter.changes.clone()];
            if changes.iter().any(is_undone) || (changes.is_empty() && has_duplicates) {
                waiter.answer(Err(ApiError::DiskFull));
            } else {
                self.waiters.push(waiter);
            }
        }
        self.unkept.retain(|change| !is_undone(change));
        undone
    }
}

/// The messages that these changes took in, and where they have come to.
fn sent(changes: &[Change<Body>]) -> BTreeMap<MessageKey, QueueId> {
    let mut sent = BTreeMap::new();
    for change in changes {
        match change {
            Change::MessageStored(record) => {
                sent.insert(record.key, record.queue);
            }
            Change::MessageMoved {
                from, key, queue, ..
            } if sent.contains_key(from) => {
                sent.insert(*key, *queue);
            }
            _ => {}
        }
    }
    sent
}

/// The message that a change is about.
fn message(change: &Change<Body>) -> Option<MessageKey> {
    match change {
        Change::MessageStored(record) => Some(record.key),
        Change::MessageUpdated { key, .. } | Change::MessageDeleted(key) => Some(*key),
        Change::MessageMoved { from, .. } => Some(*from),
        Change::Deduplicated { message, .. } => Some(*message),
        _ => None,
    }
}
