//! The clock by which leases are measured.
//!
//! It counts the time that the machine sleeps, since SQS's visibility timeouts do so too, and it is
//! the same in every process of the machine, so that a task process can compare a lease's end,
//! which it was sent, with its own reading.

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
