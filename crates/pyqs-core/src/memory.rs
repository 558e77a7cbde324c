//! What became of messages here, in case they come again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::message::MessageId;

/// At least this many of the last messages of one kind are remembered, and at most twice as many.
pub const REMEMBERED_MIN: usize = 10_000;

// Never iterated, so it needs no order; its keys are fixed so that a seed replays exactly.
type Numbers = HashMap<MessageId, u32, BuildHasherDefault<DefaultHasher>>;

/// The ids of messages to which something happened lately, and how often.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    latest: Numbers,
    older: Numbers,
}

impl Memory {
    /// It happened, once more.
    pub(crate) fn remember(&mut self, id: MessageId) {
        let before = self.times(&id);
        if self.latest.len() >= REMEMBERED_MIN && !self.latest.contains_key(&id) {
            self.older = std::mem::take(&mut self.latest);
        }
        self.latest.insert(id, before.saturating_add(1));
    }

    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        self.latest.contains_key(id) || self.older.contains_key(id)
    }

    /// How often it happened, as far as is remembered.
    pub(crate) fn times(&self, id: &MessageId) -> u32 {
        let known = self.latest.get(id).or_else(|| self.older.get(id));
        known.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MessageId {
        MessageId::from(number.to_string())
    }

    #[test]
    fn the_latest_are_remembered_and_the_number_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..REMEMBERED_MIN * 5 {
            memory.remember(id(number));
            assert!(memory.contains(&id(number.saturating_sub(REMEMBERED_MIN - 1))));
            assert!(memory.latest.len() + memory.older.len() <= REMEMBERED_MIN * 2);
        }
        assert!(!memory.contains(&id(0)));
    }

    #[test]
    fn times_are_counted_on_while_they_are_remembered() {
        let mut memory = Memory::default();
        assert_eq!(memory.times(&id(0)), 0);
        memory.remember(id(0));
        (1..=REMEMBERED_MIN).for_each(|number| memory.remember(id(number)));
        memory.remember(id(0));
        assert_eq!(memory.times(&id(0)), 2);
        assert_eq!(memory.times(&id(1)), 1);
    }
}
