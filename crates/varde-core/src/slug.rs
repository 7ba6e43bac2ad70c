//! Names that users pick and that appear in URLs: workflow ids, action ids, secret names.

use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest slug, in characters; a DNS label's length, so that a slug fits wherever a name fits.
pub const MAX_LENGTH: usize = 63;

/// A text that isn't a slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_LENGTH} of a-z, 0-9, `-` and `_`, starting with a letter or digit")]
pub struct InvalidSlug;

/// `[a-z0-9][a-z0-9_-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = InvalidSlug;
    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidSlug;
    fn try_from(text: String) -> Result<Self, InvalidSlug> {
        let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts_well = text.as_bytes().first().is_some_and(letter);
        let rest_is_well = text.bytes().all(|byte| letter(&byte) || byte == b'-' || byte == b'_');
        if starts_well && rest_is_well && text.len() <= MAX_LENGTH {
            Ok(Self(text))
        } else {
            Err(InvalidSlug)
        }
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl Deref for Slug {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl core::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_slugs_only() {
        for good in ["a", "0", "create-order", "a_b", &"x".repeat(63)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a/b", "é", &"x".repeat(64)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }
}
