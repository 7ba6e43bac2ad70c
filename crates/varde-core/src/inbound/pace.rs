//! How much a trigger takes: a bucket of tokens for its events, and one a second for what is kept of
//! failures.

use crate::time::{SECOND_MS, UnixMs};

/// Events that a trigger takes at once.
pub const BURST: u64 = 200;
/// Events that a trigger takes a second, on and on: well below what one outbox can commit.
pub const PER_SECOND: u64 = 50;
/// Milliseconds from one token to the next.
const TOKEN_MS: u64 = SECOND_MS / PER_SECOND;
/// Milliseconds from empty to full.
const FULL_MS: u64 = BURST * TOKEN_MS;

/// Tokens for events. It is filled as time passes and never holds more than [`BURST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it was, or will be, full again.
    full_at: UnixMs,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn full() -> Self {
        Self { full_at: UnixMs(0) }
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// The milliseconds until there is one.
    pub fn take(&mut self, now: UnixMs) -> Result<(), u64> {
        // A clock that went backwards must not leave a bucket empty for longer than it takes to fill it.
        self.full_at = self.full_at.clamp(now, now.plus_ms(FULL_MS));
        let after_ms = self.full_at.since_ms(now) + TOKEN_MS;
        if after_ms > FULL_MS {
            return Err(after_ms - FULL_MS);
        }
        self.full_at = now.plus_ms(after_ms);
        Ok(())
    }

    /// Whether it is full, so that forgetting it makes no difference.
    #[must_use]
    pub fn is_full(&self, now: UnixMs) -> bool {
        self.full_at <= now
    }
}

/// Lets something pass once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spacing {
    last: Option<UnixMs>,
}

impl Spacing {
    /// One whose last passage is known from elsewhere.
    #[must_use]
    pub const fn since(last: Option<UnixMs>) -> Self {
        Self { last }
    }

    /// Whether this may pass. A clock that went backwards lets it.
    pub fn pass(&mut self, now: UnixMs) -> bool {
        let passes = self.last.is_none_or(|last| now < last || now.since_ms(last) >= SECOND_MS);
        if passes {
            self.last = Some(now);
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_700_000_000_000;

    #[test]
    fn a_burst_then_a_steady_flow() {
        let mut bucket = Bucket::full();
        for _ in 0..BURST {
            assert_eq!(bucket.take(UnixMs(START)), Ok(()));
        }
        assert_eq!(bucket.take(UnixMs(START)), Err(TOKEN_MS));
        assert_eq!(bucket.take(UnixMs(START + 5)), Err(TOKEN_MS - 5));
        assert_eq!(bucket.take(UnixMs(START + TOKEN_MS)), Ok(()));
        assert_eq!(bucket.take(UnixMs(START + TOKEN_MS)), Err(TOKEN_MS));
        assert!(!bucket.is_full(UnixMs(START + FULL_MS)));
        assert!(bucket.is_full(UnixMs(START + FULL_MS + TOKEN_MS)));
    }

    #[test]
    fn a_clock_that_goes_backwards_locks_nobody_out() {
        let mut bucket = Bucket::full();
        bucket.take(UnixMs(START)).unwrap();
        assert_eq!(bucket.take(UnixMs(0)), Err(TOKEN_MS));
        assert_eq!(bucket.take(UnixMs(TOKEN_MS)), Ok(()));
        let mut spacing = Spacing::default();
        assert!(spacing.pass(UnixMs(START)) && spacing.pass(UnixMs(0)));
    }

    #[test]
    fn once_a_second() {
        let mut spacing = Spacing::default();
        let passed: Vec<bool> =
            [0, 1, 999, 1_000, 1_500, 1_999, 2_000].map(|at| spacing.pass(UnixMs(START + at))).to_vec();
        assert_eq!(passed, [true, false, false, true, false, false, true]);
        assert!(!Spacing::since(Some(UnixMs(START))).pass(UnixMs(START + 999)));
    }

    proptest! {
        #[test]
        fn never_more_than_a_burst_and_the_flow(gaps in proptest::collection::vec(0u64..200, 1..600)) {
            let (mut bucket, mut now, mut taken) = (Bucket::full(), START, 0);
            for gap in gaps {
                now += gap;
                match bucket.take(UnixMs(now)) {
                    Ok(()) => taken += 1,
                    Err(wait_ms) => {
                        prop_assert!((1..=TOKEN_MS).contains(&wait_ms));
                        prop_assert_eq!(bucket.take(UnixMs(now + wait_ms)), Ok(()));
                        taken += 1;
                    }
                }
                prop_assert!(taken <= BURST + (now + TOKEN_MS - START) / TOKEN_MS);
            }
        }
    }
}
