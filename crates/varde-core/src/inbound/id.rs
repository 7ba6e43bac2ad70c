//! The name of a trigger, which is also its key.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// 128 random bits, written as 32 hexadecimal digits. Who knows it can call the trigger, so its `Debug`
/// shows none of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TriggerId(u128);

/// A text that isn't the name of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 lower-case hexadecimal digits")]
pub struct InvalidTriggerId;

impl TriggerId {
    /// Makes a name out of 128 random bits.
    #[must_use]
    pub const fn mint(dice: u128) -> Self {
        Self(dice)
    }
}

impl fmt::Display for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TriggerId(…)")
    }
}

impl FromStr for TriggerId {
    type Err = InvalidTriggerId;
    fn from_str(text: &str) -> Result<Self, InvalidTriggerId> {
        // One spelling only: another one would name another object.
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 32 || !digits {
            return Err(InvalidTriggerId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidTriggerId)
    }
}

impl TryFrom<String> for TriggerId {
    type Error = InvalidTriggerId;
    fn try_from(text: String) -> Result<Self, InvalidTriggerId> {
        text.parse()
    }
}

impl From<TriggerId> for String {
    fn from(id: TriggerId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0123456789abcdef0011223344556677";

    #[test]
    fn trigger_id_format_unchanged() {
        let id = TriggerId::mint(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string(), DIGITS);
        assert_eq!(DIGITS.parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{DIGITS}\""));
        assert_eq!(serde_json::from_str::<TriggerId>(&format!("\"{DIGITS}\"")).unwrap(), id);
        assert_eq!(TriggerId::mint(0).to_string().len(), 32);
    }

    #[test]
    fn debug_shows_no_digit() {
        assert_eq!(format!("{:?}", TriggerId::mint(5)), "TriggerId(…)");
    }

    #[test]
    fn refuses_what_is_not_a_trigger_id() {
        for text in [
            "",
            "x",
            &DIGITS[1..],
            &format!("{DIGITS}0"),
            &DIGITS.to_uppercase(),
            &DIGITS.replace('0', "+"),
            &format!("{}é", &DIGITS[2..]),
            &format!("{}/", &DIGITS[1..]),
        ] {
            assert_eq!(text.parse::<TriggerId>(), Err(InvalidTriggerId), "{text}");
        }
    }
}
