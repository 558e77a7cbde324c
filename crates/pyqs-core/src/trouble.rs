//! When trouble with one kind of request is worth telling of: once when it begins, once at its end.

use std::time::Duration;

use crate::event::Trouble;
use crate::time::Instant;

/// Trouble that passes by itself is told of when so many requests in a row have failed, and for
/// [`TOLD_AFTER`]: one that fails now and then is no state worth a line.
pub const TOLD_AFTER_FAILURES: u32 = 3;
/// See [`TOLD_AFTER_FAILURES`].
pub const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Watches the requests of one kind on one queue.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Requests that failed, with none between them that worked.
    failing: Option<Failing>,
    told: Option<Trouble>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    count: u32,
}

impl Watch {
    /// Whether trouble was told of that has not ended.
    pub(crate) fn is_troubled(&self) -> bool {
        self.told.is_some()
    }

    /// A request failed; whether that is to be told of.
    pub(crate) fn failed(&mut self, now: Instant, trouble: Trouble) -> bool {
        let failing = self.failing.get_or_insert(Failing {
            since: now,
            count: 0,
        });
        failing.count = failing.count.saturating_add(1);
        let lasts = failing.count >= TOLD_AFTER_FAILURES
            && now.saturating_since(failing.since) >= TOLD_AFTER;
        let is_news = match self.told {
            // An endpoint that goes down shows one such trouble after the other.
            Some(told) => told != trouble && !(told.passes() && trouble.passes()),
            // A request that timed out had its time.
            None => lasts || !trouble.passes() || trouble == Trouble::TimedOut,
        };
        if is_news {
            self.told = Some(trouble);
        }
        is_news
    }

    /// A request worked; whether the end of trouble is to be told of.
    pub(crate) fn worked(&mut self) -> bool {
        self.failing = None;
        self.told.take().is_some()
    }
}
