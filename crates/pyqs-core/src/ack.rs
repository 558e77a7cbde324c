//! Requests that carry up to ten messages: what waits, what is under way, what is tried again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::message::MessageKey;
use crate::retry::{Backoff, Jitter};
use crate::settings::BATCH_MAX;
use crate::time::Instant;

/// Most requests of one kind under way at once, on one queue.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 16;

/// How deletes and changes of visibility are tried again.
pub(crate) const ACK_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(100),
    max: Duration::from_secs(5),
};

/// Gathers messages into requests: at once when none is under way, else what has gathered when
/// one comes back, and full ones at any time. What may wait, waits for company first.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    waiting: VecDeque<MessageKey>,
    /// The earliest moment at which something of that is to go in a request that is not full.
    send_by: Option<Instant>,
    in_flight: usize,
    retries: BTreeSet<(Instant, MessageKey)>,
    /// After a request that failed as a whole: no other before this.
    held_until: Option<Instant>,
    failures: u32,
}

impl Batcher {
    pub(crate) fn push(&mut self, message: MessageKey) {
        self.push_by(message, Instant::ORIGIN);
    }

    /// Of a message that may wait until then for others.
    pub(crate) fn push_by(&mut self, message: MessageKey, by: Instant) {
        self.waiting.push_back(message);
        self.send_by = Some(self.send_by.map_or(by, |earlier| earlier.min(by)));
    }

    /// Nothing waits for company any more.
    pub(crate) fn hurry(&mut self) {
        self.send_by = self.send_by.map(|_| Instant::ORIGIN);
    }

    /// Takes out a message that waits, also for its retry.
    pub(crate) fn remove(&mut self, message: MessageKey) {
        self.waiting.retain(|&waiting| waiting != message);
        self.retries.retain(|&(_, waiting)| waiting != message);
    }

    /// To be sent again, this many failures of its own later.
    pub(crate) fn retry(
        &mut self,
        now: Instant,
        message: MessageKey,
        failures: u32,
        jitter: &mut Jitter,
    ) {
        self.retry_at(now + ACK_BACKOFF.pause(failures, jitter), message);
    }

    /// To be sent again then.
    pub(crate) fn retry_at(&mut self, at: Instant, message: MessageKey) {
        self.retries.insert((at, message));
    }

    /// The next request to send now, if there is one. It counts as under way.
    pub(crate) fn next_batch(&mut self, now: Instant) -> Option<Vec<MessageKey>> {
        while let Some(&(at, message)) = self.retries.first()
            && at <= now
        {
            self.retries.pop_first();
            self.push(message);
        }
        let full = usize::from(BATCH_MAX);
        let is_time = self.send_by.is_some_and(|by| by <= now);
        let is_worth_it = (self.in_flight == 0 && is_time) || self.waiting.len() >= full;
        let is_held = self.held_until.is_some_and(|until| now < until);
        if self.waiting.is_empty()
            || !is_worth_it
            || is_held
            || self.in_flight >= REQUESTS_IN_FLIGHT_MAX
        {
            return None;
        }
        self.in_flight += 1;
        let batch = self.waiting.drain(..self.waiting.len().min(full)).collect();
        if self.waiting.is_empty() {
            self.send_by = None;
        }
        Some(batch)
    }

    /// A request came back with an answer for each message.
    pub(crate) fn answered(&mut self) {
        self.in_flight -= 1;
        self.failures = 0;
        self.held_until = None;
    }

    /// A request came back without an answer.
    pub(crate) fn failed(&mut self, now: Instant, jitter: &mut Jitter) {
        self.in_flight -= 1;
        self.failures = self.failures.saturating_add(1);
        self.held_until = Some(now + ACK_BACKOFF.pause(self.failures, jitter));
    }

    /// When [`next_batch`](Self::next_batch) may have something that it does not have now.
    pub(crate) fn wakeup(&self, now: Instant) -> Option<Instant> {
        let retry = self.retries.first().map(|&(at, _)| at);
        let held = self
            .held_until
            .filter(|&until| until > now && !self.waiting.is_empty());
        let send_by = self
            .send_by
            .filter(|&by| by > now && self.in_flight == 0 && !self.waiting.is_empty());
        [retry, held, send_by].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batcher(waiting: u64) -> Batcher {
        let mut batcher = Batcher::default();
        (0..waiting).for_each(|key| batcher.push(MessageKey(key)));
        batcher
    }

    fn sizes(batcher: &mut Batcher, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| batcher.next_batch(now).map(|batch| batch.len())).collect()
    }

    #[test]
    fn idle_sends_at_once_and_busy_sends_only_full_ones() {
        let check = |waiting: u64, expected: &[usize]| {
            assert_eq!(
                sizes(&mut batcher(waiting), Instant::ORIGIN),
                expected,
                "{waiting} waiting"
            );
        };
        check(0, &[]);
        check(1, &[1]);
        check(10, &[10]);
        check(19, &[10]);
        check(35, &[10, 10, 10]);
        check(200, &[10; REQUESTS_IN_FLIGHT_MAX]);
    }

    #[test]
    fn what_gathered_goes_when_the_last_one_is_back() {
        let mut batcher = batcher(13);
        assert_eq!(sizes(&mut batcher, Instant::ORIGIN), [10]);
        batcher.answered();
        assert_eq!(sizes(&mut batcher, Instant::ORIGIN), [3]);
    }

    #[test]
    fn what_may_wait_goes_in_a_full_request_or_when_its_time_has_come() {
        let (now, by) = (Instant::ORIGIN, Instant::ORIGIN + Duration::from_secs(1));
        let waiting = |count| {
            let mut batcher = Batcher::default();
            (0..count).for_each(|key| batcher.push_by(MessageKey(key), by));
            batcher
        };
        assert_eq!(sizes(&mut waiting(9), now), []);
        assert_eq!(waiting(9).wakeup(now), Some(by));
        assert_eq!(sizes(&mut waiting(9), by), [9]);
        assert_eq!(sizes(&mut waiting(10), now), [10]);
        let mut with_another = waiting(3);
        with_another.push(MessageKey(9));
        assert_eq!(sizes(&mut with_another, now), [4]);
        let mut hurried = waiting(3);
        hurried.hurry();
        assert_eq!(sizes(&mut hurried, now), [3]);
    }

    #[test]
    fn a_failed_request_holds_back_all_for_a_pause() {
        let mut batcher = batcher(1);
        let mut jitter = Jitter::new(1);
        assert!(batcher.next_batch(Instant::ORIGIN).is_some());
        batcher.failed(Instant::ORIGIN, &mut jitter);
        batcher.push(MessageKey(7));
        assert_eq!(batcher.next_batch(Instant::ORIGIN), None);
        let wakeup = batcher.wakeup(Instant::ORIGIN).unwrap();
        assert_eq!(batcher.next_batch(wakeup), Some(vec![MessageKey(7)]));
    }
}
