//! How long a message is ours.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Instant, TICK};

/// SQS keeps a message invisible for 12 hours from its receive, all extensions together, and
/// refuses to extend beyond (AWS: `ChangeMessageVisibility`).
pub const LEASE_TOTAL_MAX: Duration = Duration::from_hours(12);
/// Kept off [`LEASE_TOTAL_MAX`], since SQS refuses and does not clamp.
pub const LEASE_TOTAL_MARGIN: Duration = Duration::from_mins(1);
/// The end of a running task's 12 hours is told of at the last heartbeat before so much is left of them, at the latest.
pub const LEASE_END_NEAR: Duration = Duration::from_mins(10);
/// The shortest visibility timeout that a receive asks for.
pub const LEASE_MIN: Duration = Duration::from_secs(5);
/// A reply may have been under way for this long, or a tenth of the lease if that is less, or as
/// long as the slowest round trip seen if that is more.
pub const TRANSIT_MAX: Duration = Duration::from_secs(2);
/// A lease with less left than this starts no task: a heartbeat could come too late.
pub const HEARTBEAT_NEEDS_MIN: Duration = Duration::from_millis(500);
/// A tick proves that a reply was not there only this long afterwards, and only when the driver
/// has run this long since its last pause: the first ticks after one come before what had waited in
/// the socket has been read.
const TICK_SETTLES: Duration = Duration::from_millis(200);

/// The time for which SQS hides a message from others, by a cautious reckoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When the present length began to run, at the earliest.
    began: Instant,
    /// What was asked for last.
    length: Duration,
    /// No extension may reach beyond this.
    ends_at_latest: Instant,
    /// An extension was granted.
    pub(crate) is_extended: bool,
}

impl Lease {
    pub(crate) fn new(began: Instant, length: Duration) -> Self {
        let ends_at_latest = began + LEASE_TOTAL_MAX - LEASE_TOTAL_MARGIN;
        Self {
            began,
            length,
            ends_at_latest,
            is_extended: false,
        }
    }

    /// That of a message which another consumer has received and kept: how much of it is left is not known, so it
    /// wants to be extended at once.
    pub(crate) fn adopted(now: Instant, received: Instant, length: Duration) -> Self {
        Self {
            began: now - length * 3 / 4,
            length,
            is_extended: true,
            ..Self::new(received, length)
        }
    }

    /// The moment from which on the message may be somebody else's.
    pub(crate) fn until(&self) -> Instant {
        self.began + self.length
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.until().saturating_since(now)
    }

    pub(crate) fn has_lapsed(&self, now: Instant) -> bool {
        self.until() <= now
    }

    /// SQS would refuse any further extension.
    pub(crate) fn is_at_its_end(&self, now: Instant) -> bool {
        self.ends_at_latest <= now
    }

    /// SQS's 12 hours end within a length of the lease, or within [`LEASE_END_NEAR`].
    pub(crate) fn is_near_its_end(&self, now: Instant) -> bool {
        self.ends_at_latest <= now + self.length.max(LEASE_END_NEAR)
    }

    /// What is left of SQS's 12 hours.
    pub(crate) fn left_at_most(&self, now: Instant) -> Duration {
        self.ends_at_latest.saturating_since(now)
    }

    /// What may be asked for at `now` if `wanted` is, in whole seconds; nothing if that would not
    /// lengthen the lease. `bound` is a limit besides SQS's own.
    pub(crate) fn extension(
        &self,
        now: Instant,
        wanted: Duration,
        bound: Option<Instant>,
    ) -> Option<Duration> {
        let end = bound.map_or(self.ends_at_latest, |bound| bound.min(self.ends_at_latest));
        let length = wanted.min(end.saturating_since(now));
        let length = Duration::from_secs(length.as_secs());
        (now + length > self.until()).then_some(length)
    }

    /// Whether SQS would hide it for that long, asked for now or soon.
    pub(crate) fn can_hide(&self, now: Instant, wanted: Duration) -> bool {
        wanted <= self.ends_at_latest.saturating_since(now)
    }

    /// The most that SQS would accept of a visibility timeout asked for now or soon.
    pub(crate) fn hideable(&self, now: Instant, wanted: Duration) -> Duration {
        let left = self.ends_at_latest.saturating_since(now);
        Duration::from_secs(wanted.min(left).as_secs())
    }

    /// SQS granted `length`, asked for at `sent`.
    pub(crate) fn extend(&mut self, sent: Instant, length: Duration) {
        self.is_extended = true;
        if sent + length > self.until() {
            self.began = sent;
            self.length = length;
        }
    }

    /// When to ask for more: in the middle, or earlier if at the slowest round trip seen SQS would
    /// not have the extension before two thirds of the lease are used.
    pub(crate) fn heartbeat_at(&self, slow_round_trip: Duration) -> Instant {
        let latest = (self.length * 2 / 3).saturating_sub(slow_round_trip * 2);
        self.began + latest.clamp(self.length / 4, self.length / 2)
    }
}

/// The calls of the last second: proof of when a reply had not yet been there.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    moments: VecDeque<Instant>,
    /// The last call, and the first one after the last pause.
    last: Instant,
    resumed: Instant,
}

impl Ticks {
    /// The consumer was called at `now`.
    pub(crate) fn record(&mut self, now: Instant) {
        if now.saturating_since(self.last) > TICK + TICK_SETTLES {
            self.resumed = now;
        }
        self.last = now;
        // What waited during the pause may wait still, and through the next pause.
        if now.saturating_since(self.resumed) < TICK_SETTLES {
            return;
        }
        // Ticks closer together prove nothing more; so the list has at most a few entries.
        if self
            .moments
            .back()
            .is_none_or(|&last| now.saturating_since(last) >= TICK_SETTLES / 4)
        {
            self.moments.push_back(now);
        }
        while self.moments.len() > 1 && self.moments[1] <= now - TICK_SETTLES {
            self.moments.pop_front();
        }
    }

    /// The earliest moment at which SQS can have started the lease of messages that came with a
    /// reply seen at `now`, asked for at `sent`.
    pub(crate) fn lease_began(&self, now: Instant, sent: Instant, transit: Duration) -> Instant {
        let tick = self.last_settled(now);
        tick.map_or(sent, |tick| sent.max(tick - transit))
    }

    /// How long a reply was under way that is seen at `now`. If the consumer was not called for
    /// a while, the reply may have waited for it: then up to the last call before.
    pub(crate) fn round_trip(&self, now: Instant, sent: Instant) -> Duration {
        match self.last_settled(now) {
            Some(tick) if now.saturating_since(tick) > TICK * 2 => tick.saturating_since(sent),
            _ => now.saturating_since(sent),
        }
    }

    /// The last tick that proves something at `now`.
    fn last_settled(&self, now: Instant) -> Option<Instant> {
        let settled = now - TICK_SETTLES;
        self.moments
            .iter()
            .rev()
            .find(|&&tick| tick <= settled)
            .copied()
    }
}

/// How slow a queue's replies are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    slowest: Duration,
    seen_at: Instant,
}

/// A slow reply counts for half after this long, and so on. Otherwise a queue whose leases are
/// shorter than its slowest reply was would never start a task again, nor see a quicker reply.
const SLOWNESS_HALVES: Duration = Duration::from_secs(10);

impl Default for RoundTrip {
    fn default() -> Self {
        Self {
            slowest: Duration::from_millis(100),
            seen_at: Instant::ORIGIN,
        }
    }
}

impl RoundTrip {
    /// A request that SQS answers at once took this long. The slowest one is remembered, and
    /// forgotten by an eighth with each quicker one.
    pub(crate) fn observe(&mut self, now: Instant, took: Duration) {
        self.slowest = took.max(self.slow(now) * 7 / 8);
        self.seen_at = now;
    }

    pub(crate) fn slow(&self, now: Instant) -> Duration {
        let halvings = now.saturating_since(self.seen_at).as_secs() / SLOWNESS_HALVES.as_secs();
        self.slowest / (1 << halvings.min(31))
    }

    /// How long a reply with leases of that length may have been under way.
    pub(crate) fn transit(&self, now: Instant, length: Duration) -> Duration {
        TRANSIT_MAX.min(length / 10).max(self.slow(now))
    }

    /// What must be left of a lease for a task to start on it.
    pub(crate) fn heartbeat_needs(&self, now: Instant, length: Duration) -> Duration {
        (self.slow(now) * 2)
            .max(HEARTBEAT_NEEDS_MIN)
            .min(length / 3)
    }
}

// A tick must settle within the time to the next one, or no tick of a steady driver would count.
const _: () = assert!(TICK_SETTLES.as_millis() < TICK.as_millis());

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(secs: u64) -> Instant {
        Instant::ORIGIN + self::secs(secs)
    }

    #[test]
    fn a_lease_ends_its_length_after_its_earliest_beginning() {
        let lease = Lease::new(at(10), secs(30));
        assert_eq!(lease.until(), at(40));
        assert!(!lease.has_lapsed(at(39)) && lease.has_lapsed(at(40)));
        assert_eq!(lease.left(at(39)), secs(1));
    }

    #[test]
    fn an_extension_counts_from_its_request_and_never_shortens() {
        let mut lease = Lease::new(at(0), secs(30));
        lease.extend(at(20), secs(30));
        assert_eq!(lease.until(), at(50));
        lease.extend(at(15), secs(30));
        assert_eq!(lease.until(), at(50));
    }

    #[test]
    fn no_extension_asks_for_more_than_the_twelve_hours_leave() {
        let end = 12 * 3600 - 60;
        let check = |now: u64, expected: Option<u64>| {
            let mut lease = Lease::new(at(0), secs(30));
            lease.extend(at(now - 10), secs(30));
            assert_eq!(
                lease.extension(at(now), secs(30), None),
                expected.map(secs),
                "at {now}"
            );
        };
        check(end - 31, Some(30));
        check(end - 30, Some(30));
        check(end - 25, Some(25));
        check(end - 20, None);
    }

    #[test]
    fn the_middle_of_the_lease_is_early_enough_unless_replies_are_slow() {
        let lease = Lease::new(at(0), secs(60));
        assert_eq!(lease.heartbeat_at(secs(1)), at(30));
        assert_eq!(lease.heartbeat_at(secs(10)), at(20));
        assert_eq!(lease.heartbeat_at(secs(100)), at(15));
    }

    #[test]
    fn a_steady_driver_loses_a_tick_and_the_transit() {
        let mut ticks = Ticks::default();
        for half in 0..20 {
            ticks.record(Instant::ORIGIN + TICK * half);
        }
        let now = Instant::ORIGIN + TICK * 20;
        let began = ticks.lease_began(now, Instant::ORIGIN, secs(1));
        assert_eq!(began, Instant::ORIGIN + TICK * 19 - secs(1));
        assert_eq!(ticks.lease_began(now, at(9), secs(1)), at(9));
    }

    #[test]
    fn slowness_is_forgotten_with_quick_replies_and_with_time() {
        let mut round_trip = RoundTrip::default();
        round_trip.observe(at(0), secs(8));
        assert_eq!(round_trip.slow(at(9)), secs(8));
        round_trip.observe(at(9), secs(1));
        assert_eq!(round_trip.slow(at(9)), secs(7));
        assert_eq!(round_trip.slow(at(29)), secs(7) / 4);
        assert_eq!(round_trip.slow(at(100_000)), Duration::from_nanos(3));
    }

    /// A driver that ran steadily up to that second.
    fn ticks_until(end: u64) -> Ticks {
        let mut ticks = Ticks::default();
        let halves = u32::try_from(end * 2).unwrap();
        (0..=halves).for_each(|half| ticks.record(Instant::ORIGIN + TICK * half));
        ticks
    }

    #[test]
    fn a_reply_that_waited_for_the_consumer_was_not_slow() {
        let mut ticks = ticks_until(10);
        assert_eq!(ticks.round_trip(at(11), at(9)), secs(2));
        ticks.record(at(70));
        assert_eq!(ticks.round_trip(at(70), at(9)), secs(1));
    }

    #[test]
    fn after_a_pause_the_last_tick_before_it_counts() {
        let mut ticks = ticks_until(10);
        for moment in 0..4 {
            ticks.record(at(70) + Duration::from_millis(40 * moment));
        }
        let now = at(70) + Duration::from_millis(160);
        assert_eq!(ticks.lease_began(now, at(5), secs(1)), at(9));
    }

    #[test]
    fn a_moment_between_two_pauses_proves_nothing() {
        let mut ticks = ticks_until(10);
        ticks.record(at(40));
        ticks.record(at(70));
        assert_eq!(ticks.lease_began(at(70), at(5), secs(1)), at(9));
    }
}
