//! When to try again: exponential backoff, spread by a generator of our own.

use std::time::Duration;

/// How a kind of request backs off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The first pause.
    pub(crate) first: Duration,
    /// The longest pause.
    pub(crate) max: Duration,
}

impl Backoff {
    /// The pause before the retry that follows this many failures in a row (1 or more): doubled
    /// each time, and spread over its upper half so that workers do not come back in step.
    pub(crate) fn pause(self, failures: u32, jitter: &mut Jitter) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        jitter.spread(self.first.saturating_mul(1 << doublings).min(self.max))
    }
}

/// A small seeded generator (splitmix64). Nothing secret hangs on it.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Something between a half of `whole` and `whole`.
    fn spread(&mut self, whole: Duration) -> Duration {
        let half = crate::time::nanos(whole) / 2;
        Duration::from_nanos(half + self.draw() % (half + 1))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(10),
        };
        let mut jitter = Jitter::new(1);
        for (failures, whole_ms) in [
            (1, 100),
            (2, 200),
            (4, 800),
            (8, 10_000),
            (u32::MAX, 10_000),
        ] {
            let whole = Duration::from_millis(whole_ms);
            let pause = backoff.pause(failures, &mut jitter);
            assert!(
                pause >= whole / 2 && pause <= whole,
                "{failures} failures: {pause:?}"
            );
        }
    }
}
