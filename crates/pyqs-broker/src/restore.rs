//! The way back: a broker from what a store kept.

use std::fmt;
use std::sync::Arc;

use crate::broker::{Broker, Settings};
use crate::change::Change;
use crate::dedup::DeduplicationKey;
use crate::ids::{Keys, MessageKey, QueueId};
use crate::message::Payload;
use crate::queue::Queue;

impl<P: Payload> Broker<P> {
    /// The broker that was before a restart, from what a store kept: `KeysReserved`,
    /// `QueueStored`, then `MessageStored` and `Deduplicated`.
    pub fn restore(
        settings: Settings,
        stored: impl IntoIterator<Item = Change<P>>,
    ) -> Result<Self, LoadError> {
        let journal = settings.journal;
        let mut broker = Self::new(Settings {
            journal: false,
            ..settings
        });
        for fact in stored {
            broker.restore_fact(fact)?;
        }
        broker.settings.journal = journal;
        broker.effects.keep_journal(journal);
        Ok(broker)
    }

    fn restore_fact(&mut self, fact: Change<P>) -> Result<(), LoadError> {
        match fact {
            Change::KeysReserved { below } => self.keys = Keys::starting_at(below),
            Change::QueueStored(record) => {
                self.names.insert(Arc::clone(&record.name), record.id);
                self.queues.insert(record.id, Queue::new(*record));
            }
            Change::MessageStored(stored) => {
                let queue = self.queues.get_mut(&stored.queue);
                let queue = queue.ok_or(LoadError::UnknownQueue(stored.queue))?;
                if queue.is_fifo() && stored.message.group().is_none() {
                    return Err(LoadError::GroupMissing(stored.key));
                }
                queue.insert(stored.key, stored.message, &mut self.effects);
            }
            Change::Deduplicated {
                queue: id,
                scope,
                id: deduplication_id,
                message,
                until,
            } => {
                let queue = self
                    .queues
                    .get_mut(&id)
                    .ok_or(LoadError::UnknownQueue(id))?;
                let key = DeduplicationKey {
                    scope,
                    id: deduplication_id,
                };
                queue.deduplication.remember(key, message, until);
                queue.schedule_memory(&mut self.effects);
            }
            Change::MoveTaskStored(task) => {
                if !self.queues.contains_key(&task.source) {
                    return Err(LoadError::UnknownQueue(task.source));
                }
                self.moves.insert(task.started, *task, &mut self.effects);
            }
            Change::QueueDeleted(_)
            | Change::MoveTaskForgotten(_)
            | Change::QueuePurged(_)
            | Change::MessageUpdated { .. }
            | Change::MessageMoved { .. }
            | Change::MessageDeleted(_) => return Err(LoadError::NotStored),
        }
        Ok(())
    }
}

/// What was stored doesn't fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// Something is in a queue that wasn't stored before it.
    UnknownQueue(QueueId),
    /// A message of a FIFO queue has no group.
    GroupMissing(MessageKey),
    /// A change that is applied to what is stored, not itself stored.
    NotStored,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownQueue(id) => write!(f, "queue {} is missing", id.0),
            Self::GroupMissing(key) => write!(f, "FIFO message {} has no message group", key.0),
            Self::NotStored => f.write_str("a change among the stored facts"),
        }
    }
}

impl std::error::Error for LoadError {}
