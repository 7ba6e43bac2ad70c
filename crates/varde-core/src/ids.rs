//! Names of enrollments and deliveries: time-ordered, and they carry their shard.
//!
//! An id is 128 bits, most significant first: 48 bits of Unix milliseconds, 6 bits of shard, 74 random
//! bits; written as 26 characters of Crockford's base 32 in lower case, so that text order is time order.
//! A look-up by id so needs no fan-out over the shards.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// Most shards that a workflow can have; six bits of an id.
pub const MAX_SHARDS: u8 = 64;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SHARD_SHIFT: u32 = 74;
const TIME_SHIFT: u32 = 80;
const RANDOM_MASK: u128 = (1 << SHARD_SHIFT) - 1;
const TIME_MASK: u128 = (1 << 48) - 1;
const LENGTH: usize = 26;

/// A text that isn't an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}` and 26 characters of lower-case base 32")]
pub struct InvalidId {
    /// What the id should have started with.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u128);

        impl $name {
            /// Makes an id out of a time, a shard (its low six bits count) and dice.
            #[must_use]
            pub const fn mint(at: UnixMs, shard: u8, dice: u128) -> Self {
                let shard = (shard % MAX_SHARDS) as u128;
                Self(((at.0 as u128 & TIME_MASK) << TIME_SHIFT) | (shard << SHARD_SHIFT) | (dice & RANDOM_MASK))
            }

            /// When it was minted.
            #[must_use]
            pub const fn minted_at(self) -> UnixMs {
                UnixMs((self.0 >> TIME_SHIFT) as u64)
            }

            /// The same name in another shard.
            #[must_use]
            pub const fn in_shard(self, shard: u8) -> Self {
                Self::mint(self.minted_at(), shard, self.0)
            }

            /// The shard that it lives in.
            #[must_use]
            pub const fn shard(self) -> u8 {
                (self.0 >> SHARD_SHIFT) as u8 % MAX_SHARDS
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(&encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id!(
    /// One record going through one workflow: `enr_…`.
    EnrollmentId, "enr_"
);
id!(
    /// One webhook owed by one enrollment for one action: `dlv_…`; the `webhook-id` of every attempt.
    DeliveryId, "dlv_"
);
id!(
    /// One bulk replay: `rpl_…`. It has no shard of its own.
    ReplayId, "rpl_"
);

impl EnrollmentId {
    /// The delivery of the enrollment's first action: the same characters, so that accepting needs
    /// one id and a retried accept finds both.
    #[must_use]
    pub const fn first_delivery(self) -> DeliveryId {
        DeliveryId(self.0)
    }
}

fn encode(bits: u128) -> String {
    (0..LENGTH).rev().map(|at| char::from(ALPHABET[(bits >> (5 * at)) as usize % 32])).collect()
}

fn decode(text: &str) -> Option<u128> {
    // 26 characters hold 130 bits: the first may not exceed 7.
    if text.len() != LENGTH || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |bits, byte| {
        let digit = ALPHABET.iter().position(|&known| known == byte)?;
        Some((bits << 5) | digit as u128)
    })
}

/// The shard of a record: FNV-1a over its id, so that it is the same in every build and on every machine.
///
/// Shards are fixed when a workflow is created, so this may never change: `shard_unchanged` pins it.
#[must_use]
pub fn shard_of(record_id: &str, shards: u8) -> u8 {
    let hash = record_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    // The low bits of FNV-1a are its weak ones for short keys; fold the high half in.
    ((hash ^ (hash >> 32)) % u64::from(shards.clamp(1, MAX_SHARDS))) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_format_unchanged() {
        let id = EnrollmentId::mint(UnixMs(1_767_323_045_678), 37, 0x1234_5678_9abc_def0_1122);
        assert_eq!(id.to_string(), "enr_01kdyak3sejrt5cy4tqkff0492".to_string());
        assert_eq!(id.first_delivery().to_string(), "dlv_01kdyak3sejrt5cy4tqkff0492".to_string());
    }

    #[test]
    fn carries_time_and_shard() {
        let id = DeliveryId::mint(UnixMs(1_767_323_045_678), 63, u128::MAX);
        assert_eq!(id.minted_at(), UnixMs(1_767_323_045_678));
        assert_eq!(id.shard(), 63);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn text_order_is_time_order() {
        let early = DeliveryId::mint(UnixMs(1_000), 63, u128::MAX).to_string();
        let late = DeliveryId::mint(UnixMs(1_001), 0, 0).to_string();
        assert!(early < late);
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        for text in [
            "",
            "dlv_",
            "enr_01kdykn6sejjhkf2dbqnqh12h2",
            "dlv_81kdykn6sejjhkf2dbqnqh12h2",
            "dlv_01KDYKN6SEJJHKF2DBQNQH12H2",
            "dlv_01kdykn6sejjhkf2dbqnqh12hu",
            "dlv_01kdykn6sejjhkf2dbqnqh12é",
        ] {
            assert!(text.parse::<DeliveryId>().is_err(), "{text}");
        }
    }

    #[test]
    fn shard_unchanged() {
        assert_eq!(["", "1", "51", "contact-9"].map(|id| shard_of(id, 64)), [1, 48, 52, 35]);
    }

    #[test]
    fn shards_are_even() {
        let mut counts = [0u32; 8];
        for id in 0..8_000 {
            counts[usize::from(shard_of(&id.to_string(), 8))] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1_200).contains(&count)), "{counts:?}");
    }
}
