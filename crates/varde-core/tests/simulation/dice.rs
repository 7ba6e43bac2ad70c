//! The only source of chance in a simulated world: one seed decides everything in it.

use varde_core::time::UnixMs;

/// `SplitMix64` (Steele, Lea, Flood 2014): every seed, zero included, starts a sequence of full period.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A fraction in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        (self.throw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `from..=to`.
    pub const fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.throw() % (to - from + 1)
    }

    /// A number in `from..=to` with every order of magnitude as likely as the next.
    pub fn magnitude(&mut self, from: u64, to: u64) -> u64 {
        let (low, high) = (from.max(1) as f64, to.max(1) as f64);
        let drawn = low * (high / low).powf(self.fraction());
        (drawn as u64).clamp(from, to)
    }

    pub const fn one_in(&mut self, n: u64) -> bool {
        self.throw().is_multiple_of(n)
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() as u64 - 1) as usize].clone()
    }

    /// A moment after `from`, at most `within_ms` later.
    pub const fn moment(&mut self, from: UnixMs, within_ms: u64) -> UnixMs {
        from.plus_ms(self.between(0, within_ms))
    }
}
