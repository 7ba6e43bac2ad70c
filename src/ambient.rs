//! The only place that asks for the time or for entropy. Everybody else is told.

use js_sys::Date;
use varde_core::ids::EnrollmentId;
use varde_core::time::UnixMs;

use crate::metering;

/// The runtime's clock. It stands still while a handler computes and moves at every I/O.
pub fn now() -> UnixMs {
    UnixMs(Date::now() as u64 + metering::ahead_ms())
}

/// A point of [`now`]'s time by the clock that the runtime keeps its alarms by.
pub fn for_alarm(at: UnixMs) -> UnixMs {
    UnixMs(at.0.saturating_sub(metering::ahead_ms()))
}

/// A point of the clock that the runtime keeps its alarms by, in [`now`]'s time.
pub fn from_alarm(at: UnixMs) -> UnixMs {
    at.plus_ms(metering::ahead_ms())
}

/// `N` bytes from the runtime's cryptographic source.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Only a runtime without crypto.getRandomValues can fail here; going on would mint guessable names.
    getrandom::fill(&mut bytes).expect("the runtime has a source of entropy");
    bytes
}

/// 128 random bits.
pub fn dice() -> u128 {
    u128::from_le_bytes(random_bytes())
}

/// A fraction in `0.0..1.0`, for jitter.
pub fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(random_bytes())) / (f64::from(u32::MAX) + 1.0)
}

/// A fresh enrollment id for `shard`.
pub fn mint_enrollment(shard: u8) -> EnrollmentId {
    EnrollmentId::mint(now(), shard, dice())
}
