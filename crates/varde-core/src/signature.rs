//! Signatures of requests: made for what we send, checked for what we receive.
//!
//! In scope: HubSpot's request signatures v1, v2 and v3 ([`hubspot`]), both schemes of Standard Webhooks
//! ([`standard_webhooks`]), and why a check fails ([`doctor`]). Out of scope: which secret is in force
//! ([`crate::secret`]) and which headers a delivery gets ([`crate::auth`]).
//!
//! A check compares in constant time, is told the time, and says why it failed, in words for the person
//! who reads the log. It looks at the signature first and at the age second, so that `stale` means
//! "right, but too old".

pub mod hubspot;
pub mod standard_webhooks;
pub mod doctor;

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use crate::time::UnixMs;

/// A SHA-256 digest, keyed or not.
type Digest = [u8; 32];

/// A received request as a check sees it. The body needn't be UTF-8.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// The method as it was on the wire, `POST`.
    pub method: &'a str,
    /// The full URL as the sender called it, query included.
    pub uri: &'a str,
    /// Names in any case; of several headers with one name the first counts.
    pub headers: &'a [(String, String)],
    /// The bytes of the body, before anything parses them.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The value of a header, if the request has it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn required(&self, header: &'static str) -> Result<&'a str, VerifyError> {
        self.header(header).ok_or(VerifyError::MissingHeader { header })
    }
}

impl fmt::Debug for Received<'_> {
    /// Shows no header values, which may be keys, and no body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Received")
            .field("method", &self.method)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why a received signature isn't accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header that the scheme needs isn't there.
    #[error("header `{header}` is missing")]
    MissingHeader {
        /// Its name in lower case.
        header: &'static str,
    },
    /// A header is there, but not in the form that the scheme gives it.
    #[error("header `{header}` can't be read: expected {expected}")]
    UnreadableHeader {
        /// Its name in lower case.
        header: &'static str,
        /// What should have been there.
        expected: &'static str,
    },
    /// The request says that it is signed by another version than the one asked for.
    #[error("signature version is `{found}`, expected `{expected}`")]
    OtherVersion {
        /// The version that is checked.
        expected: &'static str,
        /// What the request says, cut to 16 characters.
        found: String,
    },
    /// No key gives this signature: another secret, or other bytes than those that were signed.
    #[error("signature in `{header}` doesn't match: another secret, or the request was changed on its way")]
    WrongSignature {
        /// The header that holds it.
        header: &'static str,
    },
    /// The signature is right, but the request is too old.
    #[error("signature is right, but {age_ms} ms old; the limit is {limit_ms} ms")]
    Stale {
        /// Milliseconds since the request was signed.
        age_ms: u64,
        /// The oldest that is accepted.
        limit_ms: u64,
    },
    /// The signature is right, but the request was signed in the future.
    #[error("signature is right, but {ahead_ms} ms ahead of our clock; the limit is {limit_ms} ms")]
    Ahead {
        /// Milliseconds until the time it claims.
        ahead_ms: u64,
        /// The most that is accepted.
        limit_ms: u64,
    },
}

impl VerifyError {
    /// A stable slug for logs and answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingHeader { .. } => "missing_header",
            Self::UnreadableHeader { .. } => "unreadable_header",
            Self::OtherVersion { .. } => "other_version",
            Self::WrongSignature { .. } => "wrong_signature",
            Self::Stale { .. } => "stale",
            Self::Ahead { .. } => "ahead",
        }
    }
}

fn same(left: &Digest, right: &Digest) -> bool {
    left.ct_eq(right).into()
}

fn digest_from_base64(text: &str) -> Option<Digest> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn digest_from_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

/// Reads an integer as the schemes write it: ASCII digits and nothing else (`parse` alone takes a `+`).
fn integer(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn refuse_stale(signed: UnixMs, now: UnixMs, limit_ms: u64) -> Result<(), VerifyError> {
    let age_ms = now.since_ms(signed);
    if age_ms > limit_ms { Err(VerifyError::Stale { age_ms, limit_ms }) } else { Ok(()) }
}

fn refuse_ahead(signed: UnixMs, now: UnixMs, limit_ms: u64) -> Result<(), VerifyError> {
    let ahead_ms = signed.since_ms(now);
    if ahead_ms > limit_ms { Err(VerifyError::Ahead { ahead_ms, limit_ms }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_any_case() {
        let headers = [("X-One".to_owned(), "1".to_owned()), ("x-one".to_owned(), "2".to_owned())];
        let received = Received { method: "POST", uri: "https://a.example/", headers: &headers, body: b"" };
        assert_eq!(received.header("x-ONE"), Some("1"));
        assert_eq!(received.header("x-two"), None);
        assert_eq!(received.required("x-two"), Err(VerifyError::MissingHeader { header: "x-two" }));
    }

    #[test]
    fn debug_shows_no_values() {
        let headers = [("authorization".to_owned(), "Bearer abc".to_owned())];
        let received =
            Received { method: "POST", uri: "https://a.example/?key=k", headers: &headers, body: b"body" };
        let shown = format!("{received:?}");
        assert!(shown.contains("authorization") && shown.contains("body_bytes: 4"), "{shown}");
        assert!(!shown.contains("abc") && !shown.contains("key=k"), "{shown}");
    }

    #[test]
    fn integers_are_digits_only() {
        let cases = [
            ("0", Some(0)),
            ("1693657560000", Some(1_693_657_560_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+5", None),
            ("-5", None),
            (" 5", None),
            ("5 ", None),
            ("1693657560000.0", None),
            ("１", None),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn age_limits_are_inclusive() {
        let signed = UnixMs(1_000_000);
        assert_eq!(refuse_stale(signed, UnixMs(1_000_300), 300), Ok(()));
        assert_eq!(
            refuse_stale(signed, UnixMs(1_000_301), 300),
            Err(VerifyError::Stale { age_ms: 301, limit_ms: 300 })
        );
        assert_eq!(refuse_ahead(signed, UnixMs(999_700), 300), Ok(()));
        assert_eq!(
            refuse_ahead(signed, UnixMs(999_699), 300),
            Err(VerifyError::Ahead { ahead_ms: 301, limit_ms: 300 })
        );
        assert_eq!(refuse_stale(UnixMs(u64::MAX), UnixMs(0), 0), Ok(()));
        assert_eq!(refuse_ahead(UnixMs(0), UnixMs(u64::MAX), 0), Ok(()));
    }

    #[test]
    fn errors_say_why() {
        let cases = [
            (
                VerifyError::MissingHeader { header: "webhook-id" },
                "missing_header",
                "`webhook-id` is missing",
            ),
            (
                VerifyError::UnreadableHeader { header: "webhook-timestamp", expected: "whole seconds" },
                "unreadable_header",
                "expected whole seconds",
            ),
            (
                VerifyError::OtherVersion { expected: "v2", found: "v1".to_owned() },
                "other_version",
                "is `v1`, expected `v2`",
            ),
            (VerifyError::WrongSignature { header: "h" }, "wrong_signature", "another secret"),
            (VerifyError::Stale { age_ms: 301, limit_ms: 300 }, "stale", "301 ms old; the limit is 300 ms"),
            (VerifyError::Ahead { ahead_ms: 301, limit_ms: 300 }, "ahead", "301 ms ahead"),
        ];
        for (error, code, part) in cases {
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
