//! The clock by which leases are measured.
//!
//! It counts the time that the machine sleeps, since SQS's visibility timeouts do so too, and it is
//! the same in every process of the machine, so that a task process can compare a lease's end,
//! which it was sent, with its own reading. [`Clocks`] leads from it to the calendar.

use std::time::Duration;

use pyqs_core::Instant;
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME` counts suspend, which Linux's `CLOCK_MONOTONIC` does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LEASE_CLOCK: ClockId = ClockId::Boottime;
/// macOS's `CLOCK_MONOTONIC` counts suspend.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LEASE_CLOCK: ClockId = ClockId::Monotonic;

/// Now, in nanoseconds since the machine's start.
pub(crate) fn now_nanos() -> u64 {
    let now = clock_gettime(LEASE_CLOCK);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Now, as the core counts it.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(now_nanos())
}

/// Now, in milliseconds since 1970: for times that messages carry, never for leases.
pub(crate) fn unix_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Now, in seconds since 1970: for what people and hooks see, never for leases.
pub(crate) fn unix_secs() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// The core's clock and the calendar's at the same moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) now: Instant,
    pub(crate) unix_millis: i64,
}

impl Clocks {
    /// For the core's step at `now`: what is due must not seem to lie ahead of it.
    pub(crate) fn at(now: Instant) -> Self {
        Self {
            now,
            unix_millis: unix_millis(),
        }
    }

    /// A moment of the calendar, as the core counts.
    pub(crate) fn instant(self, unix_millis: i64) -> Instant {
        let left = unix_millis.saturating_sub(self.unix_millis);
        let distance = Duration::from_millis(left.unsigned_abs());
        if left < 0 {
            self.now - distance
        } else {
            self.now + distance
        }
    }

    /// A moment of the core's, in the calendar.
    pub(crate) fn unix_millis(self, at: Instant) -> i64 {
        let left = at.saturating_since(self.now).as_millis();
        self.unix_millis
            .saturating_add(i64::try_from(left).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyqs_core::Instant;

    use super::Clocks;

    #[test]
    fn what_is_past_is_not_ahead() {
        let now = super::now();
        let clocks = Clocks {
            now,
            unix_millis: 1_700_000_000_000,
        };
        let second = Duration::from_secs(1);
        assert_eq!(clocks.instant(1_700_000_000_000), now);
        assert_eq!(clocks.instant(1_699_999_999_000), now - second);
        assert_eq!(clocks.instant(1_700_000_001_000), now + second);
        assert_eq!(clocks.instant(i64::MIN), Instant::ORIGIN);
        assert_eq!(clocks.unix_millis(now + second), 1_700_000_001_000);
    }
}
