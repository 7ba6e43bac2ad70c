//! HubSpot's request signatures, byte for byte.
//!
//! | version | value | headers |
//! |---|---|---|
//! | v1 | `hex(sha256(secret + body))` | `x-hubspot-signature`, `x-hubspot-signature-version: v1` |
//! | v2 | `hex(sha256(secret + METHOD + uri + body))`, no HMAC | the same two, `v2` |
//! | v3 | `base64(hmac_sha256(secret, METHOD + uri' + body + timestamp))` | `x-hubspot-signature-v3`, `x-hubspot-request-timestamp` (ms) |
//!
//! All text is UTF-8 with nothing between the parts. `uri` is the full URL as sent, query included;
//! `uri'` is the same with twelve escapes decoded, see [`v3_uri`]. Source: HubSpot, "Validating requests".

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

pub use crate::auth::HubspotVersion as Version;

use super::{
    Digest, Received, VerifyError, digest_from_base64, digest_from_hex, integer, refuse_stale, same,
};
use crate::time::UnixMs;

/// Where v1 and v2 put their value.
pub const SIGNATURE_HEADER: &str = "x-hubspot-signature";
/// Says which of v1 and v2 it is.
pub const VERSION_HEADER: &str = "x-hubspot-signature-version";
/// Where v3 puts its value.
pub const V3_SIGNATURE_HEADER: &str = "x-hubspot-signature-v3";
/// When a v3 signature was made, in Unix milliseconds.
pub const TIMESTAMP_HEADER: &str = "x-hubspot-request-timestamp";

/// Oldest v3 signature that is accepted, inclusive: HubSpot's five minutes. A time in the future is
/// accepted, as HubSpot's own clients do; it is signed, so nobody but the sender can have put it there.
pub const MAX_AGE_MS: u64 = 300_000;

/// What a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The method as on the wire: upper case.
    pub method: &'a str,
    /// The full URL as on the wire, query included.
    pub uri: &'a str,
    /// The body; empty for GET.
    pub body: &'a [u8],
    /// The text of [`TIMESTAMP_HEADER`]; only v3 reads it.
    pub timestamp: &'a str,
}

impl Message<'_> {
    /// The bytes that `version` covers, without the secret (v1 and v2 hash it in front of them).
    ///
    /// For showing; signing feeds the parts to the hash without joining them.
    #[must_use]
    pub fn covered(&self, version: Version) -> Vec<u8> {
        let mut covered = Vec::new();
        self.feed(version, |part| covered.extend_from_slice(part));
        covered
    }

    fn feed(&self, version: Version, mut part: impl FnMut(&[u8])) {
        match version {
            Version::V1 => part(self.body),
            Version::V2 => {
                part(self.method.as_bytes());
                part(self.uri.as_bytes());
                part(self.body);
            }
            Version::V3 => {
                part(self.method.as_bytes());
                part(v3_uri(self.uri).as_bytes());
                part(self.body);
                part(self.timestamp.as_bytes());
            }
        }
    }
}

impl Version {
    /// The word in [`VERSION_HEADER`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// The header that holds the value of this version.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::V1 | Self::V2 => SIGNATURE_HEADER,
            Self::V3 => V3_SIGNATURE_HEADER,
        }
    }
}

/// Returns the value for the header [`Version::header`]: hex for v1 and v2, base64 for v3.
///
/// ```
/// use varde_core::signature::hubspot::{Message, Version, sign};
///
/// let message = Message {
///     method: "GET",
///     uri: "https://www.example.com/webhook_uri",
///     body: b"",
///     timestamp: "",
/// };
/// assert_eq!(
///     sign(Version::V2, b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy", &message),
///     "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"
/// );
/// ```
#[must_use]
pub fn sign(version: Version, secret: &[u8], message: &Message<'_>) -> String {
    let digest = digest(version, secret, message);
    match version {
        Version::V1 | Version::V2 => hex::encode(digest),
        Version::V3 => STANDARD.encode(digest),
    }
}

/// Checks the signature of a received request; any of `secrets` may have made it.
///
/// # Errors
///
/// The first that applies of: a header missing, a header in another form, another version announced,
/// no secret that gives this signature, for v3 older than [`MAX_AGE_MS`].
pub fn verify(
    version: Version,
    secrets: &[&[u8]],
    received: &Received<'_>,
    now: UnixMs,
) -> Result<(), VerifyError> {
    let signature = received.required(version.header())?;
    let (given, timestamp) = match version {
        Version::V1 | Version::V2 => {
            refuse_other_version(version, received)?;
            (digest_from_hex(signature), None)
        }
        Version::V3 => (digest_from_base64(signature), Some(received.required(TIMESTAMP_HEADER)?)),
    };
    let given = given.ok_or(VerifyError::UnreadableHeader {
        header: version.header(),
        expected: match version {
            Version::V1 | Version::V2 => "64 hexadecimal digits",
            Version::V3 => "base64 of 32 bytes",
        },
    })?;
    let signed = match timestamp {
        None => None,
        Some(text) => Some(integer(text).map(UnixMs).ok_or(VerifyError::UnreadableHeader {
            header: TIMESTAMP_HEADER,
            expected: "whole Unix milliseconds",
        })?),
    };
    let message = Message {
        method: received.method,
        uri: received.uri,
        body: received.body,
        timestamp: timestamp.unwrap_or_default(),
    };
    // Every secret is tried, so that the time taken doesn't tell which one it was.
    let matches =
        secrets.iter().fold(false, |found, secret| found | same(&digest(version, secret, &message), &given));
    if !matches {
        return Err(VerifyError::WrongSignature { header: version.header() });
    }
    signed.map_or(Ok(()), |signed| refuse_stale(signed, now, MAX_AGE_MS))
}

/// The URL as v3 signs it: twelve escapes decoded, once, in either case of hex: `%3A %2F %3F %40 %21
/// %24 %27 %28 %29 %2A %2C %3B`. All others stay, `%20`, `%25` and `%26` among them.
#[must_use]
pub fn v3_uri(uri: &str) -> Cow<'_, str> {
    let mut rest = uri;
    let mut decoded = String::new();
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        decoded.push_str(before);
        if let Some(character) = escape.as_bytes().get(1..3).and_then(decoded_by_v3) {
            decoded.push(character);
            rest = &escape[3..];
        } else {
            decoded.push('%');
            rest = &escape[1..];
        }
    }
    if decoded.is_empty() {
        return Cow::Borrowed(uri);
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

fn decoded_by_v3(hex: &[u8]) -> Option<char> {
    let character = match [hex[0], hex[1].to_ascii_uppercase()] {
        [b'3', b'A'] => ':',
        [b'2', b'F'] => '/',
        [b'3', b'F'] => '?',
        [b'4', b'0'] => '@',
        [b'2', b'1'] => '!',
        [b'2', b'4'] => '$',
        [b'2', b'7'] => '\'',
        [b'2', b'8'] => '(',
        [b'2', b'9'] => ')',
        [b'2', b'A'] => '*',
        [b'2', b'C'] => ',',
        [b'3', b'B'] => ';',
        _ => return None,
    };
    Some(character)
}

fn digest(version: Version, secret: &[u8], message: &Message<'_>) -> Digest {
    match version {
        Version::V1 | Version::V2 => {
            let mut hash = Sha256::new();
            hash.update(secret);
            message.feed(version, |part| hash.update(part));
            hash.finalize().into()
        }
        Version::V3 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("invariant: HMAC takes any length");
            message.feed(version, |part| mac.update(part));
            mac.finalize().into_bytes().into()
        }
    }
}

fn refuse_other_version(version: Version, received: &Received<'_>) -> Result<(), VerifyError> {
    match received.header(VERSION_HEADER) {
        Some(found) if !found.eq_ignore_ascii_case(version.as_str()) => Err(VerifyError::OtherVersion {
            expected: version.as_str(),
            found: found.chars().take(16).collect(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const URI: &str = "https://hooks.example.com/wf?email=jane%40example.com&name=J%C3%B8rgen";
    const SIGNED: u64 = 1_700_000_300_000;
    const VERSIONS: [Version; 3] = [Version::V1, Version::V2, Version::V3];

    fn headers(
        version: Version,
        secret: &[u8],
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> Vec<(String, String)> {
        let timestamp = SIGNED.to_string();
        let message = Message { method, uri, body, timestamp: &timestamp };
        let mut headers = vec![(version.header().to_owned(), sign(version, secret, &message))];
        match version {
            Version::V1 | Version::V2 => {
                headers.push((VERSION_HEADER.to_owned(), version.as_str().to_owned()));
            }
            Version::V3 => headers.push((TIMESTAMP_HEADER.to_owned(), timestamp)),
        }
        headers
    }

    fn check(version: Version, headers: &[(String, String)], now: u64) -> Result<(), VerifyError> {
        let received = Received { method: "POST", uri: URI, headers, body: b"{}" };
        verify(version, &[SECRET], &received, UnixMs(now))
    }

    fn good(version: Version) -> Vec<(String, String)> {
        headers(version, SECRET, "POST", URI, b"{}")
    }

    #[test]
    fn decodes_twelve_escapes_once() {
        let cases = [
            ("https://a.example/", "https://a.example/"),
            ("%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B", ":/?@!$'()*,;"),
            ("%3a%2f%3f%2a%2c%3b", ":/?*,;"),
            (
                "%20%22%23%25%26%2B%2D%2E%30%3C%3D%3E%5B%5D%7E%C3%B8",
                "%20%22%23%25%26%2B%2D%2E%30%3C%3D%3E%5B%5D%7E%C3%B8",
            ),
            ("%253A", "%253A"),
            ("%%3A", "%:"),
            ("%", "%"),
            ("%3", "%3"),
            ("a%3A%", "a:%"),
            ("%3ø%40", "%3ø@"),
            ("%ø", "%ø"),
        ];
        for (uri, expected) in cases {
            assert_eq!(v3_uri(uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_plain_uri_is_not_copied() {
        assert!(matches!(v3_uri("https://a.example/b?c=d"), Cow::Borrowed(_)));
    }

    #[test]
    fn verifies_what_it_signs() {
        for version in VERSIONS {
            assert_eq!(check(version, &good(version), SIGNED), Ok(()), "{version:?}");
        }
    }

    #[test]
    fn any_of_the_secrets_may_match() {
        for version in VERSIONS {
            let headers = good(version);
            let received = Received { method: "POST", uri: URI, headers: &headers, body: b"{}" };
            let wrong = Err(VerifyError::WrongSignature { header: version.header() });
            let now = UnixMs(SIGNED);
            assert_eq!(verify(version, &[b"new", SECRET], &received, now), Ok(()));
            assert_eq!(verify(version, &[SECRET, b"old"], &received, now), Ok(()));
            assert_eq!(verify(version, &[b"new", b"old"], &received, now), wrong);
            assert_eq!(verify(version, &[], &received, now), wrong);
        }
    }

    #[test]
    fn only_v3_ages() {
        let late = SIGNED + MAX_AGE_MS;
        assert_eq!(check(Version::V3, &good(Version::V3), late), Ok(()));
        assert_eq!(
            check(Version::V3, &good(Version::V3), late + 1),
            Err(VerifyError::Stale { age_ms: 300_001, limit_ms: 300_000 })
        );
        // Like HubSpot's own clients: a time in the future isn't refused.
        assert_eq!(check(Version::V3, &good(Version::V3), 0), Ok(()));
        assert_eq!(check(Version::V2, &good(Version::V2), u64::MAX), Ok(()));
        assert_eq!(check(Version::V1, &good(Version::V1), u64::MAX), Ok(()));
    }

    #[test]
    fn a_wrong_signature_is_named_before_its_age() {
        let mut headers = good(Version::V3);
        headers[1].1 = "1".to_owned();
        let wrong = Err(VerifyError::WrongSignature { header: V3_SIGNATURE_HEADER });
        assert_eq!(check(Version::V3, &headers, SIGNED), wrong);
    }

    #[test]
    fn headers_must_be_there_and_readable() {
        let missing = |header| Err(VerifyError::MissingHeader { header });
        let unreadable = |header, expected| Err(VerifyError::UnreadableHeader { header, expected });
        for version in VERSIONS {
            assert_eq!(check(version, &[], SIGNED), missing(version.header()));
        }
        assert_eq!(check(Version::V3, &good(Version::V3)[..1], SIGNED), missing(TIMESTAMP_HEADER));

        let hexadecimal = "64 hexadecimal digits";
        let right = good(Version::V2)[0].1.clone();
        for value in ["", "zz", &right[..62], &format!("{right}00"), &format!("{right} ")] {
            let headers = [(SIGNATURE_HEADER.to_owned(), value.to_owned())];
            assert_eq!(
                check(Version::V2, &headers, SIGNED),
                unreadable(SIGNATURE_HEADER, hexadecimal),
                "{value}"
            );
        }
        for value in ["", "v1,abc", &right, "AAAA", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y"] {
            let mut headers = good(Version::V3);
            headers[0].1 = value.to_owned();
            let expected = unreadable(V3_SIGNATURE_HEADER, "base64 of 32 bytes");
            assert_eq!(check(Version::V3, &headers, SIGNED), expected, "{value}");
        }
        for value in ["", "1693657560000.0", "+1", "2023-09-02T12:26:00Z", "99999999999999999999"] {
            let mut headers = good(Version::V3);
            headers[1].1 = value.to_owned();
            let expected = unreadable(TIMESTAMP_HEADER, "whole Unix milliseconds");
            assert_eq!(check(Version::V3, &headers, SIGNED), expected, "{value}");
        }
    }

    #[test]
    fn the_announced_version_counts_where_there_is_one() {
        let headers = good(Version::V2);
        assert_eq!(
            check(Version::V1, &headers, SIGNED),
            Err(VerifyError::OtherVersion { expected: "v1", found: "v2".to_owned() })
        );
        assert_eq!(check(Version::V2, &headers[..1], SIGNED), Ok(()));
    }

    #[test]
    fn hex_is_read_in_either_case() {
        let mut headers = good(Version::V1);
        headers[0].1.make_ascii_uppercase();
        assert_eq!(check(Version::V1, &headers, SIGNED), Ok(()));
    }

    #[test]
    fn covered_bytes_are_what_is_hashed() {
        let message =
            Message { method: "PUT", uri: "https://a.example/%2F%20", body: b"\xff{}", timestamp: "17" };
        assert_eq!(message.covered(Version::V1), b"\xff{}");
        assert_eq!(message.covered(Version::V2), b"PUThttps://a.example/%2F%20\xff{}");
        assert_eq!(message.covered(Version::V3), b"PUThttps://a.example//%20\xff{}17");
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_plain_replacement(uri in "[a-z%0-9A-F/?ø]{0,60}") {
            let table = [
                ("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%40", "@"), ("%21", "!"), ("%24", "$"),
                ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*"), ("%2C", ","), ("%3B", ";"),
            ];
            // No decoded character can be part of another escape, so the order doesn't matter.
            let expected = table.iter().fold(uri.clone(), |text, (escape, character)| {
                text.replace(escape, character).replace(&escape.to_lowercase(), character)
            });
            prop_assert_eq!(v3_uri(&uri), expected.as_str());
            prop_assert_eq!(v3_uri(&expected), expected.as_str());
        }

        #[test]
        fn a_changed_body_is_refused(
            body in prop::collection::vec(any::<u8>(), 1..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            for version in VERSIONS {
                let headers = headers(version, SECRET, "POST", URI, &body);
                let received = Received { method: "POST", uri: URI, headers: &headers, body: &body };
                prop_assert_eq!(verify(version, &[SECRET], &received, UnixMs(SIGNED)), Ok(()));
                let received = Received { body: &changed, ..received };
                prop_assert_eq!(
                    verify(version, &[SECRET], &received, UnixMs(SIGNED)),
                    Err(VerifyError::WrongSignature { header: version.header() })
                );
            }
        }

        #[test]
        fn no_input_panics(uri in any::<String>(), signature in any::<String>(), timestamp in any::<String>()) {
            let headers = [
                (SIGNATURE_HEADER.to_owned(), signature.clone()),
                (V3_SIGNATURE_HEADER.to_owned(), signature),
                (TIMESTAMP_HEADER.to_owned(), timestamp),
            ];
            let received = Received { method: "POST", uri: &uri, headers: &headers, body: b"\xff" };
            for version in VERSIONS {
                prop_assert!(verify(version, &[b""], &received, UnixMs(0)).is_err());
            }
        }
    }
}
