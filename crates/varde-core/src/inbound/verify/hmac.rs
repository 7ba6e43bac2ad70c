//! A generic HMAC over the body, in a header: hash, spelling and prefix as the sender has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::Unverified;
use crate::signature::Received;

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-1: broken as a hash, but not in an HMAC, and senders still use it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How an HMAC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal digits in either case.
    Hex,
    /// Base64 of the standard alphabet, padded.
    Base64,
}

/// An HMAC over the body in a header.
pub(super) struct Scheme<'a> {
    pub(super) header: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    pub(super) prefix: &'a str,
}

impl Scheme<'_> {
    /// Checks it; any of `keys` may have made it.
    pub(super) fn check(&self, keys: &[&[u8]], received: &Received<'_>) -> Result<(), Unverified> {
        let header = || self.header.to_owned();
        let found =
            received.header(self.header).ok_or_else(|| Unverified::MissingHmac { header: header() })?;
        let given = self
            .read(found.trim())
            .ok_or_else(|| Unverified::UnreadableHmac { header: header(), expected: self.expected() })?;
        let matches = keys.iter().fold(false, |matches, key| {
            matches | bool::from(self.algorithm.mac(key, received.body).ct_eq(&given))
        });
        if matches { Ok(()) } else { Err(Unverified::WrongHmac { header: header() }) }
    }

    fn read(&self, found: &str) -> Option<Vec<u8>> {
        let encoded = found.strip_prefix(self.prefix)?;
        let bytes = match self.encoding {
            Encoding::Hex => hex::decode(encoded).ok()?,
            Encoding::Base64 => STANDARD.decode(encoded).ok()?,
        };
        (bytes.len() == self.algorithm.length()).then_some(bytes)
    }

    fn expected(&self) -> String {
        let length = self.algorithm.length();
        let bytes = match self.encoding {
            Encoding::Hex => format!("{} hexadecimal digits", 2 * length),
            Encoding::Base64 => format!("base64 of {length} bytes"),
        };
        if self.prefix.is_empty() { bytes } else { format!("`{}` and {bytes}", self.prefix) }
    }
}

impl Algorithm {
    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    pub(super) fn mac(self, key: &[u8], body: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "invariant: HMAC takes any length";
        fn of<M: Mac>(mac: M, body: &[u8]) -> Vec<u8> {
            mac.chain_update(body).finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha1 => of(Hmac::<Sha1>::new_from_slice(key).expect(ANY_LENGTH), body),
            Self::Sha256 => of(Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH), body),
            Self::Sha512 => of(Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH), body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published vectors: GitHub's ("Validating webhook deliveries") and RFC 4231's / RFC 2202's case 2.
    #[test]
    fn hmacs_agree_with_published_vectors() {
        const JEFE: (&str, &[u8]) = ("Jefe", b"what do ya want for nothing?");
        const EVERYBODY: (&str, &[u8]) = ("It's a Secret to Everybody", b"Hello, World!");
        for ((key, body), sent, algorithm, encoding, prefix) in [
            (
                EVERYBODY,
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                Algorithm::Sha256,
                Encoding::Hex,
                "sha256=",
            ),
            (JEFE, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", Algorithm::Sha1, Encoding::Hex, ""),
            (JEFE, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=", Algorithm::Sha256, Encoding::Base64, ""),
            (
                JEFE,
                concat!(
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
                    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
                ),
                Algorithm::Sha512,
                Encoding::Hex,
                "",
            ),
        ] {
            let scheme = Scheme { header: "x-sig", algorithm, encoding, prefix };
            let headers = [("X-Sig".to_owned(), sent.to_owned())];
            let check = |key: &str, body: &[u8]| {
                let received =
                    Received { method: "POST", uri: "https://varde.example/", headers: &headers, body };
                scheme.check(&[b"other", key.as_bytes()], &received)
            };
            assert_eq!(check(key, body), Ok(()), "{sent}");
            let wrong = Err(Unverified::WrongHmac { header: "x-sig".to_owned() });
            assert_eq!((check("jefe", body), check(key, b"changed")), (wrong.clone(), wrong), "{sent}");
        }
    }

    #[test]
    fn says_what_it_expects() {
        for (algorithm, encoding, prefix, expected) in [
            (Algorithm::Sha1, Encoding::Hex, "v=", "`v=` and 40 hexadecimal digits"),
            (Algorithm::Sha256, Encoding::Base64, "", "base64 of 32 bytes"),
            (Algorithm::Sha512, Encoding::Hex, "", "128 hexadecimal digits"),
        ] {
            assert_eq!(Scheme { header: "h", algorithm, encoding, prefix }.expected(), expected);
        }
    }
}
