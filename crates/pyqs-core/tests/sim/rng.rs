//! The simulation's only randomness.

use std::time::Duration;

/// A seeded generator (xorshift64*).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        rng.next();
        rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// `low` to `high`, both included.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn range32(&mut self, low: u32, high: u32) -> u32 {
        u32::try_from(self.range(low.into(), high.into())).expect("both bounds are 32 bits")
    }

    /// True that often in a thousand.
    pub(crate) fn permille(&mut self, chance: u32) -> bool {
        self.range(1, 1000) <= u64::from(chance)
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let place = self.range(0, choices.len() as u64 - 1);
        choices[usize::try_from(place).expect("within the choices")]
    }

    pub(crate) fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.range(low, high))
    }
}
