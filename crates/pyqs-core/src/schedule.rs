//! Whose turn it is, and how fast things go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::message::{QueueId, RateLimit, Share};
use crate::time::{Instant, nanos};

/// A queue that could not use its share (it was empty, or at its cap) catches up by at most this.
const CREDIT_MAX: Duration = Duration::from_millis(100);

/// Divides the slots' time between queues by weight.
///
/// Each queue has a clock that runs as it uses slots, slower with more weight, and the one whose
/// clock is behind goes first: weighted deficit round robin's share, without rounds, which with
/// tasks of microseconds beside tasks of minutes would be many. That is among queues of one
/// priority; one of a lower priority has its turn only when those above it have nothing.
#[derive(Debug, Default)]
pub(crate) struct FairShare {
    clocks: BTreeMap<QueueId, Clock>,
    /// Queues with something that may start: by priority, and the one furthest behind first.
    ready: BTreeSet<(u32, u64, QueueId)>,
    /// For each priority, the clock of the queue that was served last.
    served: BTreeMap<u32, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    at: u64,
    weight: u64,
    priority: u32,
    is_ready: bool,
}

impl FairShare {
    pub(crate) fn add(&mut self, queue: QueueId, share: Share) {
        let served = *self.served.entry(share.priority).or_default();
        self.clocks.entry(queue).or_insert(Clock {
            at: served,
            weight: u64::from(share.weight.max(1)),
            priority: share.priority,
            is_ready: false,
        });
    }

    /// Says whether the queue has something that may start.
    pub(crate) fn set_ready(&mut self, queue: QueueId, is_ready: bool) {
        let Some(clock) = self.clocks.get_mut(&queue) else {
            return;
        };
        if clock.is_ready == is_ready {
            return;
        }
        clock.is_ready = is_ready;
        if is_ready {
            let served = self.served[&clock.priority];
            clock.at = clock.at.max(served.saturating_sub(nanos(CREDIT_MAX)));
            self.ready.insert((clock.priority, clock.at, queue));
        } else {
            self.ready.remove(&(clock.priority, clock.at, queue));
        }
    }

    /// The queues with something that may start, in the order of their turns.
    pub(crate) fn turns(&self) -> impl Iterator<Item = QueueId> + '_ {
        self.ready.iter().map(|&(_, _, queue)| queue)
    }

    pub(crate) fn has_turns(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The queue starts a task that is expected to take so long.
    pub(crate) fn charge(&mut self, queue: QueueId, expected: Duration) {
        if let Some(clock) = self.clocks.get(&queue) {
            let served = self.served.entry(clock.priority).or_default();
            *served = (*served).max(clock.at);
            let floor = served.saturating_sub(nanos(CREDIT_MAX));
            let at = clock
                .at
                .max(floor)
                .saturating_add(nanos(expected) / clock.weight);
            self.move_to(queue, at);
        }
    }

    /// A task that was charged with `expected` took `took`.
    pub(crate) fn correct(&mut self, queue: QueueId, expected: Duration, took: Duration) {
        if let Some(clock) = self.clocks.get(&queue) {
            let owed = nanos(took) / clock.weight;
            let at = clock
                .at
                .saturating_add(owed)
                .saturating_sub(nanos(expected) / clock.weight);
            self.move_to(queue, at);
        }
    }

    fn move_to(&mut self, queue: QueueId, at: u64) {
        let Some(clock) = self.clocks.get_mut(&queue) else {
            return;
        };
        if clock.is_ready {
            self.ready.remove(&(clock.priority, clock.at, queue));
            self.ready.insert((clock.priority, at, queue));
        }
        clock.at = at;
    }
}

/// A limited rate may have been missed by this much and is caught up with: what is allowed every
/// millisecond need not come on the millisecond. A rate of fewer than 20 a second keeps its pauses.
pub const RATE_BURST: Duration = Duration::from_millis(50);

/// Keeps starts to a rate, evenly spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    interval: Duration,
    /// When the next one would start if all came at even intervals.
    due: Instant,
}

impl Throttle {
    pub(crate) fn new(rate: RateLimit) -> Self {
        Self {
            interval: rate.per / rate.tasks.max(1),
            due: Instant::ORIGIN,
        }
    }

    /// The earliest moment of the next start.
    pub(crate) fn next_at(&self) -> Instant {
        if self.interval < RATE_BURST {
            self.due - RATE_BURST
        } else {
            self.due
        }
    }

    /// The time between two starts.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// So many may start now.
    pub(crate) fn starts_now(&self, now: Instant) -> usize {
        let next_at = self.next_at();
        if now < next_at {
            return 0;
        }
        let missed = now.saturating_since(next_at).min(RATE_BURST);
        starts_within(missed, self.interval) + 1
    }

    /// One starts.
    pub(crate) fn start(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.interval;
    }

    /// One that had started came back and did not run.
    pub(crate) fn came_back(&mut self) {
        self.due = self.due - self.interval;
    }

    /// As many may start within that time.
    pub(crate) fn starts_within(&self, now: Instant, span: Duration) -> usize {
        let (from, until) = (self.next_at().max(now), now + span);
        if from > until {
            return 0;
        }
        let more = nanos(until.saturating_since(from)) / nanos(self.interval).max(1);
        usize::try_from(more)
            .unwrap_or(usize::MAX)
            .saturating_add(1)
    }
}

/// How long something takes, by a moving mean that rises quickly and falls slowly: taking a slow
/// task for a quick one costs more than the reverse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    mean: Duration,
}

impl Pace {
    pub(crate) fn new(first: Duration) -> Self {
        Self { mean: first }
    }

    pub(crate) fn observe(&mut self, took: Duration) {
        self.mean = if took > self.mean {
            (self.mean + took) / 2
        } else {
            (self.mean * 7 + took) / 8
        };
    }

    pub(crate) fn mean(&self) -> Duration {
        self.mean
    }
}

/// How many tasks of that length one slot starts within a span.
pub(crate) fn starts_within(span: Duration, task: Duration) -> usize {
    usize::try_from(nanos(span) / nanos(task).max(1)).unwrap_or(usize::MAX)
}

/// What part of a queue's messages can't be read, by a moving mean. They are gone at once, so others must come in
/// their place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unreadable {
    share: f64,
}

/// However much can't be read, no more than this many times as much is asked for as can be used.
const MADE_UP_MAX: f64 = 64.0;
const UNREADABLE_WEIGHT: f64 = 1.0 / 16.0;

impl Unreadable {
    pub(crate) fn observe(&mut self, is_unreadable: bool) {
        let latest = f64::from(u8::from(is_unreadable));
        self.share += (latest - self.share) * UNREADABLE_WEIGHT;
    }

    /// How many to have so that as many as are wanted can be read.
    pub(crate) fn make_up(self, wanted: usize) -> usize {
        let times = 1.0 / (1.0 - self.share).max(1.0 / MADE_UP_MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "never negative; saturates; the last digits do not matter"
        )]
        let made_up = (wanted as f64 * times) as usize;
        made_up
    }
}

/// How many a second, measured over windows of [`RATE_WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    since: Instant,
    count: u32,
    per_sec: f64,
}

const RATE_WINDOW: Duration = Duration::from_millis(200);

impl Rate {
    pub(crate) fn observe(&mut self, now: Instant) {
        self.roll(now);
        self.count = self.count.saturating_add(1);
    }

    /// How many are to be expected within `span`, going by the last windows.
    pub(crate) fn expected(&mut self, now: Instant, span: Duration) -> usize {
        self.roll(now);
        let expected = self.per_sec * span.as_secs_f64();
        // Rounded down: what is not expected to start within the span is not expected.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative; saturates"
        )]
        let expected = expected as usize;
        expected
    }

    fn roll(&mut self, now: Instant) {
        let window = now.saturating_since(self.since);
        if window >= RATE_WINDOW {
            let latest = f64::from(self.count) / window.as_secs_f64();
            // A jump is believed at once; a lull only by and by.
            self.per_sec = if latest > self.per_sec {
                latest
            } else {
                f64::midpoint(self.per_sec, latest)
            };
            self.since = now;
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn weighing(weight: u32) -> Share {
        Share {
            weight,
            ..Share::default()
        }
    }

    /// How often each queue is served in 1,200 ms of slot time, given weights and task lengths.
    fn served(queues: &[(u32, u32)]) -> Vec<usize> {
        let mut share = FairShare::default();
        for (number, &(weight, _)) in (0..).zip(queues) {
            share.add(QueueId(number), weighing(weight));
            share.set_ready(QueueId(number), true);
        }
        let mut counts = vec![0; queues.len()];
        let mut spent = 0;
        while spent < 1200 {
            let queue = share.turns().next().unwrap();
            let (_, length) = queues[queue.0 as usize];
            counts[queue.0 as usize] += 1;
            spent += length;
            share.charge(queue, MS * length);
        }
        counts
    }

    #[test]
    fn slots_are_shared_by_time_and_weight() {
        assert_eq!(served(&[(1, 1), (1, 1)]), [600, 600]);
        assert_eq!(served(&[(1, 1), (3, 1)]), [300, 900]);
        assert_eq!(served(&[(1, 100), (1, 1)]), [6, 600]);
    }

    #[test]
    fn an_idle_queue_saves_no_turns() {
        let mut share = FairShare::default();
        for queue in [QueueId(0), QueueId(1)] {
            share.add(queue, weighing(1));
        }
        share.set_ready(QueueId(0), true);
        (0..1000).for_each(|_| share.charge(QueueId(0), MS));
        share.set_ready(QueueId(1), true);
        let mut first = 0;
        while share.turns().next() == Some(QueueId(1)) {
            share.charge(QueueId(1), MS);
            first += 1;
        }
        assert!((99..=102).contains(&first), "{first} turns in a row");
    }

    #[test]
    fn a_higher_priority_goes_first_and_the_lower_ones_share_what_is_left() {
        let mut share = FairShare::default();
        for (queue, priority) in [(0, 1), (1, 0), (2, 1)] {
            let of = Share {
                priority,
                ..Share::default()
            };
            share.add(QueueId(queue), of);
            share.set_ready(QueueId(queue), true);
        }
        for _ in 0..1000 {
            assert_eq!(share.turns().next(), Some(QueueId(1)));
            share.charge(QueueId(1), MS);
        }
        share.set_ready(QueueId(1), false);
        let mut counts = [0; 3];
        for _ in 0..100 {
            let queue = share.turns().next().unwrap();
            counts[queue.0 as usize] += 1;
            share.charge(queue, MS);
        }
        assert_eq!(counts, [50, 0, 50]);
    }

    #[test]
    fn a_rate_is_kept_and_spread() {
        let check = |tasks, per_secs, expected: usize| {
            let per = Duration::from_secs(per_secs);
            let mut throttle = Throttle::new(RateLimit { tasks, per });
            // After a long rest, as at any time.
            let mut now = Instant::ORIGIN + Duration::from_secs(100);
            let end = now + Duration::from_mins(1);
            let (mut starts, mut first_second) = (0, 0);
            while now < end {
                if throttle.next_at() <= now {
                    throttle.start(now);
                    starts += 1;
                    first_second += usize::from(now < end - Duration::from_secs(59));
                }
                now = throttle.next_at().max(now + Duration::from_micros(10));
            }
            assert!(starts >= expected, "{starts} of {expected}");
            let burst = if expected > 60 * 20 {
                expected / 60 / 20 + 1
            } else {
                1
            };
            assert!(starts <= expected + burst, "{starts} of {expected}");
            let even = expected.div_ceil(60);
            assert!(first_second <= even + burst, "{first_second} at once");
        };
        check(1, 60, 1);
        check(1, 1, 60);
        check(10, 1, 600);
        check(1000, 1, 60_000);
        check(100, 60, 100);
        check(0, 1, 60);
    }

    #[test]
    fn what_may_start_soon_is_known() {
        let rate = RateLimit {
            tasks: 10,
            per: Duration::from_secs(1),
        };
        let mut throttle = Throttle::new(rate);
        let now = Instant::ORIGIN + Duration::from_secs(9);
        assert_eq!(throttle.starts_within(now, Duration::from_secs(1)), 11);
        (0..3).for_each(|_| throttle.start(now));
        assert_eq!(throttle.starts_within(now, Duration::from_secs(1)), 8);
        assert_eq!(throttle.starts_within(now, MS * 250), 0);
        throttle.came_back();
        assert_eq!(throttle.starts_within(now, MS * 250), 1);
    }

    #[test]
    fn a_wrong_guess_is_corrected() {
        let mut share = FairShare::default();
        for queue in [QueueId(0), QueueId(1)] {
            share.add(queue, weighing(1));
            share.set_ready(queue, true);
        }
        share.charge(QueueId(0), MS);
        share.charge(QueueId(1), MS * 50);
        share.correct(QueueId(0), MS, MS * 100);
        assert_eq!(share.turns().next(), Some(QueueId(1)));
    }

    #[test]
    fn what_cant_be_read_is_made_up_for() {
        let mut unreadable = Unreadable::default();
        assert_eq!(unreadable.make_up(4), 4);
        (0..100).for_each(|number| unreadable.observe(number % 2 == 0));
        assert!((7..=9).contains(&unreadable.make_up(4)), "{unreadable:?}");
        (0..1000).for_each(|_| unreadable.observe(true));
        assert_eq!(unreadable.make_up(4), 256);
        assert_eq!(unreadable.make_up(0), 0, "where nothing could start");
        (0..100).for_each(|_| unreadable.observe(false));
        assert_eq!(unreadable.make_up(4), 4);
    }

    #[test]
    fn a_rate_is_seen_after_a_window_and_fades() {
        let mut rate = Rate::default();
        for tenth in 0..500 {
            rate.observe(Instant::ORIGIN + MS * tenth);
        }
        let at = |ms: u32| Instant::ORIGIN + MS * ms;
        let expected = rate.expected(at(500), Duration::from_secs(1));
        assert!((900..=1100).contains(&expected), "{expected}");
        assert!(rate.expected(at(2000), Duration::from_secs(1)) < expected);
        for second in 3..30 {
            rate.expected(at(second * 1000), Duration::from_secs(1));
        }
        assert_eq!(rate.expected(at(31_000), Duration::from_secs(1)), 0);
    }
}
