//! API tokens: made of 256 random bits, shown once, known afterwards by their hash only.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// What a token's text starts with, so that people and scanners know one when they see it.
pub const PREFIX: &str = "vrd_";

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything, tests included: a draft test can send a secret anywhere its hosts allow.
    Admin,
    /// Enrollments, single and in batches; it reads nothing.
    Enroll,
    /// All GETs but those of tokens.
    Read,
}

impl Scope {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Enroll, Self::Read];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Enroll => "enroll",
            Self::Read => "read",
        }
    }

    /// Whether a token of this scope may do what needs `needed`: its own, or anything as admin.
    #[must_use]
    pub const fn allows(self, needed: Self) -> bool {
        matches!((self, needed), (Self::Admin, _) | (Self::Enroll, Self::Enroll) | (Self::Read, Self::Read))
    }
}

/// A token's text, `vrd_` and 64 hexadecimal digits, for the one time it is shown.
///
/// Its `Debug` shows nothing; its memory is wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Makes a token out of 256 random bits.
    #[must_use]
    pub fn mint(dice: &[u8; 32]) -> Self {
        Self(Zeroizing::new(format!("{PREFIX}{}", hex::encode(dice))))
    }

    /// The text itself, for its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// SHA-256 of a token's whole text; written as 64 lower-case hexadecimal digits.
///
/// A plain hash is enough: there is nothing to guess in 256 random bits. It also brings any two texts to
/// one length, so comparing hashes tells nothing about the length of a key that a person picked.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

/// A text that isn't a token's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct InvalidHash;

impl TokenHash {
    /// Hashes what a caller presents, whether or not it looks like a token: `VARDE_ADMIN_TOKEN` may be
    /// any text.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented).into())
    }
}

impl PartialEq for TokenHash {
    /// Takes the same time for any two hashes.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl FromStr for TokenHash {
    type Err = InvalidHash;
    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| InvalidHash)?;
        Ok(Self(hash))
    }
}

impl TryFrom<String> for TokenHash {
    type Error = InvalidHash;
    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_format_unchanged() {
        let token = Token::mint(&core::array::from_fn(|at| u8::try_from(at).unwrap()));
        let text = "vrd_000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let hash = "f01a06840c28fccf3a9f041889b0204e93f7d942d4a7e2e7ac080f2ca14e747e";
        assert_eq!(token.expose(), text);
        assert_eq!(token.hash().to_string(), hash);
        assert_eq!(serde_json::to_string(&token.hash()).unwrap(), format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<TokenHash>(&format!("\"{hash}\"")).unwrap(), TokenHash::of(text));
    }

    #[test]
    fn debug_shows_no_token() {
        assert_eq!(format!("{:?}", Token::mint(&[7; 32])), "Token(…)");
    }

    #[test]
    fn a_hash_is_of_the_whole_text() {
        let token = Token::mint(&[7; 32]);
        assert_eq!(TokenHash::of(token.expose()), token.hash());
        for other in ["", "vrd_", &token.expose()[4..], &format!("{} ", token.expose())] {
            assert_ne!(TokenHash::of(other), token.hash(), "{other}");
        }
        assert_ne!(Token::mint(&[8; 32]).hash(), token.hash());
    }

    #[test]
    fn refuses_what_is_not_a_hash() {
        let good = TokenHash::of("").to_string();
        assert_eq!(good.parse(), Ok(TokenHash::of("")));
        assert_eq!(good.to_uppercase().parse(), Ok(TokenHash::of("")));
        for bad in ["", "e3", &good[1..], &format!("{good}00"), &good.replace('e', "g")] {
            assert_eq!(bad.parse::<TokenHash>(), Err(InvalidHash), "{bad}");
        }
    }

    #[test]
    fn scopes_allow_their_own() {
        use Scope::{Admin, Enroll, Read};
        let cases =
            [(Admin, [true, true, true]), (Enroll, [false, true, false]), (Read, [false, false, true])];
        for (scope, expected) in cases {
            assert_eq!(Scope::ALL.map(|needed| scope.allows(needed)), expected, "{scope:?}");
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{}\"", scope.as_str()));
        }
    }
}
