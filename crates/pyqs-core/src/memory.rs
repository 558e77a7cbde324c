//! What became of messages here, in case they come again.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::message::MessageId;

/// At least this many of the last messages of one kind are remembered, and at most twice as many.
pub const REMEMBERED_MIN: usize = 10_000;

// Never iterated, so it needs no order; its keys are fixed so that a seed replays exactly.
type Ids = HashSet<MessageId, BuildHasherDefault<DefaultHasher>>;

/// The logical ids of messages to which the same has happened lately.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    latest: Ids,
    older: Ids,
}

impl Recent {
    pub(crate) fn remember(&mut self, id: MessageId) {
        if self.latest.len() >= REMEMBERED_MIN {
            self.older = std::mem::take(&mut self.latest);
        }
        self.latest.insert(id);
    }

    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        self.latest.contains(id) || self.older.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_the_number_is_bounded() {
        let id = |number: usize| MessageId::from(number.to_string());
        let mut recent = Recent::default();
        for number in 0..REMEMBERED_MIN * 5 {
            recent.remember(id(number));
            assert!(recent.contains(&id(number.saturating_sub(REMEMBERED_MIN - 1))));
            assert!(recent.latest.len() + recent.older.len() <= REMEMBERED_MIN * 2);
        }
        assert!(!recent.contains(&id(0)));
    }
}
