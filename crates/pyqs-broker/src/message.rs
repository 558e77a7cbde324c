//! A message: what it is made of, how it is handed over, and in which phase it is.

use std::sync::Arc;

use crate::ids::{MessageId, MessageKey, SequenceNumber};
use crate::time::Timestamp;

/// What a message carries, as its driver likes to hold it.
pub trait Payload: Clone {
    /// Bytes that count towards the limits: body, and attributes with names and types.
    fn size(&self) -> usize;

    /// A text that is equal exactly for equal bodies (SQS: the SHA-256 of the body). Asked only
    /// where a FIFO queue deduplicates by content.
    fn fingerprint(&self) -> String;
}

impl Payload for String {
    fn size(&self) -> usize {
        self.len()
    }

    fn fingerprint(&self) -> String {
        self.clone()
    }
}

impl Payload for &'static str {
    fn size(&self) -> usize {
        self.len()
    }

    fn fingerprint(&self) -> String {
        (*self).to_owned()
    }
}

/// A message to send.
#[derive(Debug, Clone)]
pub struct NewMessage<P> {
    /// What it carries.
    pub payload: P,
    /// Seconds for which it stays hidden; `None` means the queue's delay.
    pub delay_secs: Option<u32>,
    /// The message group: needed on FIFO queues, a tenant on standard ones.
    pub group: Option<String>,
    /// FIFO: sends of the same id within five minutes store one message.
    pub deduplication: Option<String>,
}

impl<P> NewMessage<P> {
    /// A message without delay, group and deduplication id.
    pub fn new(payload: P) -> Self {
        Self {
            payload,
            delay_secs: None,
            group: None,
            deduplication: None,
        }
    }

    /// The same, hidden for that many seconds.
    #[must_use]
    pub fn delayed(self, secs: u32) -> Self {
        Self {
            delay_secs: Some(secs),
            ..self
        }
    }

    /// The same, in a message group.
    #[must_use]
    pub fn in_group(self, group: &str) -> Self {
        Self {
            group: Some(group.to_owned()),
            ..self
        }
    }

    /// The same, with a deduplication id.
    #[must_use]
    pub fn with_deduplication(self, id: &str) -> Self {
        Self {
            deduplication: Some(id.to_owned()),
            ..self
        }
    }
}

/// What a sender learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The message's id; a duplicate's is that of the message already there.
    pub message_id: MessageId,
    /// FIFO queues only.
    pub sequence_number: Option<SequenceNumber>,
    /// The new message's key, `None` when the send was a duplicate.
    pub stored: Option<MessageKey>,
}

/// What a receive asks for.
#[derive(Debug, Clone)]
pub struct Receive {
    /// At most that many messages: 1 to 10.
    pub max: u32,
    /// Seconds for which they stay hidden; `None` means the queue's visibility timeout.
    pub visibility_secs: Option<u32>,
    /// FIFO: a second receive with this id within five minutes gets the same messages.
    pub attempt: Option<String>,
}

impl Receive {
    /// A receive with the queue's own visibility timeout.
    pub fn up_to(max: u32) -> Self {
        Self {
            max,
            visibility_secs: None,
            attempt: None,
        }
    }

    /// The same, with this visibility timeout.
    #[must_use]
    pub fn hidden_for(self, secs: u32) -> Self {
        Self {
            visibility_secs: Some(secs),
            ..self
        }
    }
}

/// A received message.
#[derive(Debug, Clone)]
pub struct Delivery<P> {
    /// The broker's own name for it.
    pub key: MessageKey,
    /// The message's id.
    pub message_id: MessageId,
    /// The handle by which this receive's holder deletes it or changes its visibility.
    pub receipt: String,
    /// What it carries.
    pub payload: P,
    /// Receives so far, this one included.
    pub receives: u32,
    /// When it was sent.
    pub sent: Timestamp,
    /// When it was received for the first time.
    pub first_received: Timestamp,
    /// Group, deduplication id and sequence number.
    pub fifo: FifoFacts,
    /// The name of the queue that it was moved away from, for having been received too often.
    pub dead_letter_source: Option<Arc<str>>,
}

/// What a received message says about group and order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FifoFacts {
    /// The message group, on FIFO queues and where the sender gave one.
    pub group: Option<Arc<str>>,
    /// FIFO queues only.
    pub deduplication: Option<Arc<str>>,
    /// FIFO queues only.
    pub sequence_number: Option<SequenceNumber>,
}

/// In which phase a stored message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Sent with a delay that isn't over.
    Delayed {
        /// When it can be received.
        until: Timestamp,
    },
    /// Can be received.
    Ready,
    /// Received, neither deleted nor given back.
    InFlight {
        /// When it can be received again.
        until: Timestamp,
        /// When it was received: extensions are counted from here.
        since: Timestamp,
    },
}

/// A stored message. Public for stores, which write and read it back.
///
/// A queue may hold a million of them, most of which were sent and nothing else: what happened
/// since is boxed, and takes nothing where nothing did.
#[derive(Debug, Clone)]
pub struct Message<P> {
    /// What it carries.
    pub payload: P,
    /// When it was sent; retention counts from here.
    pub sent: Timestamp,
    state: Option<Box<State>>,
}

/// Where a message stands, what has become of it, and what only some messages have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// Receives so far, on all queues it has been in.
    pub receives: u32,
    /// Handles given out so far; the last one is the valid one.
    pub generation: u32,
    /// When it was received for the first time.
    pub first_received: Option<Timestamp>,
    /// What only some messages have.
    pub traits: Option<Box<Traits>>,
}

/// What only some messages have, kept apart since most have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits {
    /// The message group.
    pub group: Option<Arc<str>>,
    /// The deduplication id, given or derived.
    pub deduplication: Option<Arc<str>>,
    /// The key it had when it was sent, where it has got another since: its id stays the same.
    pub first_key: Option<MessageKey>,
    /// The queue that it was moved away from, for having been received too often.
    pub dead_letter_source: Option<Arc<str>>,
    /// Receives on queues it has been in before: they don't count for this queue's redrive.
    pub receives_elsewhere: u32,
}

/// That of a message that was just sent, without anything special.
static PLAIN: State = State {
    phase: Phase::Ready,
    receives: 0,
    generation: 0,
    first_received: None,
    traits: None,
};

impl Default for State {
    fn default() -> Self {
        PLAIN.clone()
    }
}

impl<P> Message<P> {
    /// A message as it was stored.
    pub fn new(payload: P, sent: Timestamp, state: State) -> Self {
        Self {
            payload,
            sent,
            state: (state != PLAIN).then(|| Box::new(state)),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        self.state.as_deref().unwrap_or(&PLAIN)
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        self.state.get_or_insert_default()
    }

    pub(crate) fn group(&self) -> Option<&Arc<str>> {
        self.state().traits.as_ref()?.group.as_ref()
    }

    /// The key from which the message's id is derived.
    pub(crate) fn first_key(&self, key: MessageKey) -> MessageKey {
        let traits = self.state().traits.as_ref();
        traits.and_then(|traits| traits.first_key).unwrap_or(key)
    }

    /// Receives that count for this queue's redrive policy.
    pub(crate) fn receives_here(&self) -> u32 {
        let state = self.state();
        let elsewhere = state.traits.as_ref().map_or(0, |t| t.receives_elsewhere);
        state.receives.saturating_sub(elsewhere)
    }
}
