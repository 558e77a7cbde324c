//! Time as the core sees it: an argument, counted from an origin that the driver chose.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// While a poll is open, the driver calls at least this often. How long a lease can already have
/// run is judged from the last call before the reply was seen, so a process that was stopped, or
/// stalled, or slept, is not fooled by a reply that waited for it.
pub const TICK: Duration = Duration::from_millis(500);

/// A moment, in nanoseconds since the driver's origin.
///
/// The driver's clock must never go backwards and must count the time that the machine slept
/// (`CLOCK_BOOTTIME`), since SQS's leases run on meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The driver's origin.
    pub const ORIGIN: Instant = Instant(0);

    /// The moment that many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at the end of time, 584 years after the origin.
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// Saturates at the origin.
    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(duration)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.6}s",
            Duration::from_nanos(self.0).as_secs_f64()
        )
    }
}

/// The whole seconds that it takes, as SQS counts.
pub(crate) fn whole_secs_up(duration: Duration) -> Duration {
    let secs = duration.as_secs();
    Duration::from_secs(secs.saturating_add(u64::from(duration.subsec_nanos() > 0)))
}

/// A duration's nanoseconds, saturating.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::ORIGIN - second, Instant::ORIGIN);
        assert_eq!(
            Instant::from_nanos(u64::MAX) + second,
            Instant::from_nanos(u64::MAX)
        );
        assert_eq!(
            Instant::ORIGIN.saturating_since(Instant::ORIGIN + second),
            Duration::ZERO
        );
        assert_eq!(
            (Instant::ORIGIN + second).saturating_since(Instant::ORIGIN),
            second
        );
        assert_eq!(
            Instant::ORIGIN + Duration::MAX,
            Instant::from_nanos(u64::MAX)
        );
    }
}
