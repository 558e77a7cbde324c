//! Log lines of one kind: the first few are told, and then how many there were.

use std::time::Duration;

use pyqs_core::Instant;

/// Messages of one kind of trouble that are named within [`NAMED_PERIOD`]; further ones are counted and
/// told in one line, since such trouble rarely comes to one message alone.
pub(crate) const NAMED_MAX: u32 = 10;

/// See [`NAMED_MAX`].
pub(crate) const NAMED_PERIOD: Duration = Duration::from_mins(1);

/// The first few of each period pass; the others are counted.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    since: Option<Instant>,
    passed: u32,
    held_back: u32,
}

impl RateLimit {
    pub(super) fn lets_pass(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        if self.passed < NAMED_MAX {
            self.passed += 1;
            true
        } else {
            self.held_back += 1;
            false
        }
    }

    /// Begins a new period when it is time; the answer is how many were held back.
    pub(super) fn roll_over(&mut self, now: Instant) -> Option<u32> {
        let since = self.since?;
        if now.saturating_since(since) < NAMED_PERIOD {
            return None;
        }
        let held_back = self.held_back;
        *self = Self::default();
        (held_back > 0).then_some(held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMED_MAX, NAMED_PERIOD, RateLimit};
    use pyqs_core::Instant;

    #[test]
    fn messages_are_named_a_few_times_and_then_counted() {
        let mut limit = RateLimit::default();
        let now = Instant::ORIGIN;
        for _ in 0..NAMED_MAX {
            assert!(limit.lets_pass(now));
        }
        assert!(!limit.lets_pass(now));
        assert!(!limit.lets_pass(now));
        assert_eq!(limit.roll_over(now), None);
        assert_eq!(limit.roll_over(now + NAMED_PERIOD), Some(2));
        assert_eq!(limit.roll_over(now + NAMED_PERIOD * 2), None);
        assert!(limit.lets_pass(now + NAMED_PERIOD));
    }
}
