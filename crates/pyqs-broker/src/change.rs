//! What a store must write so that the broker can be rebuilt.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::attributes::QueueAttributes;
use crate::ids::{MessageKey, MoveTaskId, QueueId};
use crate::message::{Message, Phase, Traits};
use crate::move_task::MoveTask;
use crate::time::Timestamp;

/// One fact. Applied in order to what is stored they give the broker's state; the stored facts
/// themselves, in any order that has queues before messages, rebuild it ([`crate::Broker::restore`]).
/// What is large and rare is boxed, so that the many changes of messages stay small.
#[derive(Debug, Clone)]
pub enum Change<P> {
    /// Keys below this one may have been used: start there after a restart.
    KeysReserved {
        /// The first key that is surely free.
        below: u64,
    },
    /// A queue was made, or its attributes or tags changed.
    QueueStored(Box<QueueRecord>),
    /// A queue is gone, with all that was in it.
    QueueDeleted(QueueId),
    /// All of a queue's messages are gone.
    QueuePurged(QueueId),
    /// A message was taken in.
    MessageStored(MessageRecord<P>),
    /// A message was received, given back, or its visibility changed.
    MessageUpdated {
        /// Which message.
        key: MessageKey,
        /// Where it stands now.
        phase: Phase,
        /// Receives so far.
        receives: u32,
        /// Handles given out so far.
        generation: u32,
        /// When it was received for the first time.
        first_received: Option<Timestamp>,
    },
    /// A message went to a dead-letter queue, or out of one. What it carries stays.
    MessageMoved {
        /// The key it had.
        from: MessageKey,
        /// The key it has, which may be the same.
        key: MessageKey,
        /// The queue it is in now.
        queue: QueueId,
        /// Its new time of sending.
        sent: Timestamp,
        /// Its new traits.
        traits: Box<Traits>,
    },
    /// A message is gone.
    MessageDeleted(MessageKey),
    /// A FIFO queue remembers a deduplication id.
    Deduplicated {
        /// The queue.
        queue: QueueId,
        /// The group in which the id counts; `None` where it counts in the whole queue.
        scope: Option<Arc<str>>,
        /// The id.
        id: Arc<str>,
        /// The message that was sent with it.
        message: MessageKey,
        /// Until when it is remembered.
        until: Timestamp,
    },
    /// A move task was started, got on, or ended.
    MoveTaskStored(Box<MoveTask>),
    /// A move task is too old to be listed.
    MoveTaskForgotten(MoveTaskId),
}

/// A queue as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// Its id.
    pub id: QueueId,
    /// Its name.
    pub name: Arc<str>,
    /// Its attributes.
    pub attributes: QueueAttributes,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When its attributes were set.
    pub modified: Timestamp,
}

/// A message as a store keeps it.
#[derive(Debug, Clone)]
pub struct MessageRecord<P> {
    /// The queue it is in.
    pub queue: QueueId,
    /// Its key.
    pub key: MessageKey,
    /// The message.
    pub message: Message<P>,
}
