//! The starts of a queue's tasks, against its limited rate.

use pyqs_core::limits::RATE_BURST;
use pyqs_core::{Instant, MessageKey, RateLimit};

/// The starts of a queue's tasks.
#[derive(Debug, Default)]
pub(crate) struct PaceRecord {
    first: Option<Instant>,
    starts: u32,
    pub(crate) came_back: u32,
}

impl PaceRecord {
    /// As many as the rate allows from the first start on, and a burst.
    pub(crate) fn started(&mut self, now: Instant, message: MessageKey, rate: Option<RateLimit>) {
        let first = *self.first.get_or_insert(now);
        self.starts += 1;
        if let Some(rate) = rate {
            let time = now.saturating_since(first) + RATE_BURST;
            let allowed = time.as_secs_f64() / rate.per.as_secs_f64() * f64::from(rate.tasks);
            let counted = self.starts - self.came_back;
            assert!(
                f64::from(counted) <= allowed + 1.01,
                "{message:?} starts as the {counted}th within {time:?}"
            );
        }
    }
}
