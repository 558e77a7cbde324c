//! Which messages succeeded here, in case they come again.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::message::MessageId;

/// At least this many of the last successes are remembered, and at most twice as many.
pub const SUCCEEDED_MIN: usize = 10_000;

// Never iterated, so it needs no order; its keys are fixed so that a seed replays exactly.
type Ids = HashSet<MessageId, BuildHasherDefault<DefaultHasher>>;

/// The logical ids of the messages whose tasks succeeded lately.
#[derive(Debug, Default)]
pub(crate) struct Succeeded {
    latest: Ids,
    older: Ids,
}

impl Succeeded {
    pub(crate) fn remember(&mut self, id: MessageId) {
        if self.latest.len() >= SUCCEEDED_MIN {
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
        let mut succeeded = Succeeded::default();
        for number in 0..SUCCEEDED_MIN * 5 {
            succeeded.remember(id(number));
            assert!(succeeded.contains(&id(number.saturating_sub(SUCCEEDED_MIN - 1))));
            assert!(succeeded.latest.len() + succeeded.older.len() <= SUCCEEDED_MIN * 2);
        }
        assert!(!succeeded.contains(&id(0)));
    }
}
