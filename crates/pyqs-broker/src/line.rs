//! What can be received next, and what stands behind it.

use std::sync::Arc;

use crate::fair::Fair;
use crate::fifo::{Groups, Place};
use crate::ids::MessageKey;
use crate::message::Phase;
use crate::time::Timestamp;

/// The order in which a queue gives out its messages. No operation looks at more messages than
/// it gives out.
#[derive(Debug)]
pub(crate) enum Line {
    /// The oldest first, but quiet tenants before noisy ones.
    Standard(Fair),
    /// In order within each message group.
    Fifo(Groups),
}

impl Line {
    pub(crate) fn new(is_fifo: bool) -> Self {
        if is_fifo {
            Self::Fifo(Groups::default())
        } else {
            Self::Standard(Fair::default())
        }
    }

    pub(crate) fn enter(&mut self, key: MessageKey, group: Option<&Arc<str>>, phase: Phase) {
        match self {
            Self::Standard(fair) => fair.enter(key, group, phase),
            Self::Fifo(groups) => groups.enter(expect_group(group), key, place(phase)),
        }
    }

    pub(crate) fn leave(&mut self, key: MessageKey, group: Option<&Arc<str>>, phase: Phase) {
        match self {
            Self::Standard(fair) => fair.leave(key, group, phase),
            Self::Fifo(groups) => groups.leave(expect_group(group), key, place(phase)),
        }
    }

    /// A message that is in the line was sent at that time.
    pub(crate) fn sent(&mut self, group: Option<&Arc<str>>, at: Timestamp) {
        if let (Self::Standard(fair), Some(group)) = (self, group) {
            fair.sent(group, at);
        }
    }

    /// Up to `max` messages to give out now.
    pub(crate) fn next_batch(&mut self, now: Timestamp, max: usize) -> Vec<MessageKey> {
        match self {
            Self::Standard(fair) => fair.next_batch(now, max),
            Self::Fifo(groups) => groups.next_batch(max),
        }
    }

    /// The oldest message that could be given out now.
    pub(crate) fn oldest(&self) -> Option<MessageKey> {
        match self {
            Self::Standard(fair) => fair.oldest(),
            Self::Fifo(groups) => groups.oldest(),
        }
    }

    pub(crate) fn has_any(&self) -> bool {
        match self {
            Self::Standard(fair) => fair.oldest().is_some(),
            Self::Fifo(groups) => groups.has_available(),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Standard(fair) => *fair = Fair::default(),
            Self::Fifo(groups) => groups.clear(),
        }
    }
}

fn expect_group(group: Option<&Arc<str>>) -> &Arc<str> {
    group.expect("sends and loads without a group are refused on FIFO queues")
}

fn place(phase: Phase) -> Place {
    match phase {
        Phase::Ready => Place::Ready,
        Phase::Delayed { .. } => Place::Delayed,
        Phase::InFlight { .. } => Place::InFlight,
    }
}
