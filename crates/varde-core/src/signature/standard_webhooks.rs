//! The symmetric signature of Standard Webhooks 1.0: `v1,base64(hmac_sha256(key, id.timestamp.body))`.
//!
//! The header holds one signature per key in force, separated by spaces. Source: Standard Webhooks,
//! "Signature scheme" and "Webhook headers".

use core::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Digest, Received, VerifyError, digest_from_base64, integer, refuse_ahead, refuse_stale, same};
use crate::time::{SECOND_MS, UnixMs};

/// The same for every attempt of a webhook; an idempotency key for the receiver.
pub const ID_HEADER: &str = "webhook-id";
/// When the attempt was made, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far `webhook-timestamp` may be from our clock, in either direction, inclusive: five minutes, as
/// the reference implementations have it (the specification says "some allowable tolerance").
pub const TOLERANCE_MS: u64 = 300_000;

/// What a secret's text starts with.
pub const PREFIX: &str = "whsec_";

/// Shortest key, by the specification. Its longest (64 bytes) isn't enforced: HMAC takes any length, and
/// there are senders with longer ones.
pub const MIN_KEY_BYTES: usize = 24;

/// Most signatures in one header that are looked at; with more, checking would be work for an attacker
/// to order.
const MAX_SIGNATURES: usize = 20;

/// Keys come from everywhere, so padding is taken or left.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A text that isn't a `whsec_…` secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// `whsk_…` and `whpk_…` are halves of an ed25519 pair.
    #[error("expected a symmetric secret (`whsec_…`), found an ed25519 key")]
    Asymmetric,
    /// What follows `whsec_` isn't base64.
    #[error("expected `whsec_` and base64, but what follows doesn't decode")]
    NotBase64,
    /// The key is shorter than the specification allows.
    #[error("expected a key of at least {MIN_KEY_BYTES} bytes, found {found}")]
    TooShort {
        /// Bytes after decoding.
        found: usize,
    },
}

impl InvalidKey {
    /// A stable slug for answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_secret"
    }
}

/// The key inside a `whsec_…` secret. Its `Debug` shows nothing; its memory is wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Reads a secret's text. The prefix may be missing, as in the reference implementations.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for ed25519 keys, for what isn't base64, and for less than [`MIN_KEY_BYTES`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if text.starts_with("whsk_") || text.starts_with("whpk_") {
            return Err(InvalidKey::Asymmetric);
        }
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let key = Zeroizing::new(LENIENT.decode(encoded).map_err(|_| InvalidKey::NotBase64)?);
        if key.len() < MIN_KEY_BYTES {
            return Err(InvalidKey::TooShort { found: key.len() });
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The text of [`ID_HEADER`]; holds no full stop.
    pub id: &'a str,
    /// The text of [`TIMESTAMP_HEADER`].
    pub timestamp: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// The bytes that are signed. For showing; signing feeds the parts to the hash without joining them.
    #[must_use]
    pub fn covered(&self) -> Vec<u8> {
        self.parts().concat()
    }

    fn parts(&self) -> [&[u8]; 5] {
        [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", self.body]
    }
}

/// Returns one signature, `v1,…`.
///
/// ```
/// use varde_core::signature::standard_webhooks::{Key, Message, sign};
///
/// let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let message =
///     Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: b"{\"test\": 2432232314}" };
/// assert_eq!(sign(&key, &message), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// # Ok::<(), varde_core::signature::standard_webhooks::InvalidKey>(())
/// ```
#[must_use]
pub fn sign(key: &Key, message: &Message<'_>) -> String {
    let mut signature = "v1,".to_owned();
    STANDARD.encode_string(digest(key, message), &mut signature);
    signature
}

/// Checks a received request; any of `keys` may have made any of its signatures.
///
/// # Errors
///
/// The first that applies of: a header missing, a header in another form (no `v1` signature among them
/// included), no key that gives one of the signatures, further than [`TOLERANCE_MS`] from `now`.
pub fn verify(keys: &[&Key], received: &Received<'_>, now: UnixMs) -> Result<(), VerifyError> {
    let id = received.required(ID_HEADER)?;
    let timestamp = received.required(TIMESTAMP_HEADER)?;
    let signatures = received.required(SIGNATURE_HEADER)?;
    if id.contains('.') {
        // Otherwise bytes could move between the id and the body under one signature.
        return Err(VerifyError::UnreadableHeader {
            header: ID_HEADER,
            expected: "a text with no full stop",
        });
    }
    let signed = integer(timestamp)
        .ok_or(VerifyError::UnreadableHeader { header: TIMESTAMP_HEADER, expected: "whole Unix seconds" })?;
    let given: Vec<Digest> = signatures
        .split(' ')
        .filter_map(|signature| digest_from_base64(signature.strip_prefix("v1,")?))
        .take(MAX_SIGNATURES)
        .collect();
    if given.is_empty() {
        let expected = "`v1,` and base64 of 32 bytes, one or more, separated by spaces";
        return Err(VerifyError::UnreadableHeader { header: SIGNATURE_HEADER, expected });
    }
    let message = Message { id, timestamp, body: received.body };
    // Every key is tried with every signature, so that the time taken doesn't tell which one it was.
    let matches = keys.iter().fold(false, |found, key| {
        let expected = digest(key, &message);
        given.iter().fold(found, |found, given| found | same(&expected, given))
    });
    if !matches {
        return Err(VerifyError::WrongSignature { header: SIGNATURE_HEADER });
    }
    let signed = UnixMs(signed.saturating_mul(SECOND_MS));
    refuse_stale(signed, now, TOLERANCE_MS)?;
    refuse_ahead(signed, now, TOLERANCE_MS)
}

fn digest(key: &Key, message: &Message<'_>) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("invariant: HMAC takes any length");
    for part in message.parts() {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SIGNED_S: u64 = 1_614_265_330;
    const NOW: UnixMs = UnixMs(SIGNED_S * 1_000);
    const BODY: &[u8] = b"{\"test\": 2432232314}";

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn signature(secret: &str) -> String {
        sign(&key(secret), &Message { id: ID, timestamp: &SIGNED_S.to_string(), body: BODY })
    }

    fn headers(id: &str, timestamp: &str, signature: &str) -> Vec<(String, String)> {
        [(ID_HEADER, id), (TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signature)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    fn check(headers: &[(String, String)], now: UnixMs) -> Result<(), VerifyError> {
        let received = Received { method: "POST", uri: "https://a.example/", headers, body: BODY };
        verify(&[&key(SECRET)], &received, now)
    }

    fn check_signatures(signatures: &str) -> Result<(), VerifyError> {
        check(&headers(ID, &SIGNED_S.to_string(), signatures), NOW)
    }

    #[test]
    fn reads_keys() {
        let long = format!("whsec_{}", STANDARD.encode([7; 75]));
        for text in
            [SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &long, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA"]
        {
            assert!(Key::parse(text).is_ok(), "{text}");
        }
        let cases = [
            ("", InvalidKey::TooShort { found: 0 }),
            ("whsec_", InvalidKey::TooShort { found: 0 }),
            ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=", InvalidKey::TooShort { found: 23 }),
            ("whsec_not base64", InvalidKey::NotBase64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", InvalidKey::NotBase64),
            ("whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidKey::NotBase64),
            ("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy", InvalidKey::NotBase64),
            ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbf=", InvalidKey::Asymmetric),
            ("whpk_tV6xQcDQVz3bMhBqbmmkUrKyGy3bbdGpiUUrCXEPuvk=", InvalidKey::Asymmetric),
        ];
        for (text, expected) in cases {
            assert_eq!(Key::parse(text).map(|_| ()), Err(expected), "{text}");
            assert_eq!(expected.code(), "invalid_secret");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key(SECRET)), "Key(…)");
    }

    #[test]
    fn one_right_signature_is_enough() {
        let right = signature(SECRET);
        let wrong = signature(OTHER);
        for list in [
            right.clone(),
            format!("{right} {wrong}"),
            format!("{wrong} {right}"),
            format!("v1a,AAAA {wrong} v2,x {right} v1,broken"),
            format!("  {right} "),
        ] {
            assert_eq!(check_signatures(&list), Ok(()), "{list}");
        }
        assert_eq!(
            check_signatures(&format!("{wrong} {wrong}")),
            Err(VerifyError::WrongSignature { header: SIGNATURE_HEADER })
        );
    }

    #[test]
    fn signatures_past_the_bound_are_not_looked_at() {
        let wrong = signature(OTHER);
        let list = |before| format!("{}{}", format!("{wrong} ").repeat(before), signature(SECRET));
        assert_eq!(check_signatures(&list(MAX_SIGNATURES - 1)), Ok(()));
        assert!(check_signatures(&list(MAX_SIGNATURES)).is_err());
    }

    #[test]
    fn any_key_may_match() {
        let headers = headers(ID, &SIGNED_S.to_string(), &signature(SECRET));
        let received = Received { method: "POST", uri: "https://a.example/", headers: &headers, body: BODY };
        let (right, other) = (key(SECRET), key(OTHER));
        assert_eq!(verify(&[&other, &right], &received, NOW), Ok(()));
        assert_eq!(verify(&[&right, &other], &received, NOW), Ok(()));
        let wrong = Err(VerifyError::WrongSignature { header: SIGNATURE_HEADER });
        assert_eq!(verify(&[&other], &received, NOW), wrong);
        assert_eq!(verify(&[], &received, NOW), wrong);
    }

    #[test]
    fn five_minutes_in_both_directions() {
        let headers = headers(ID, &SIGNED_S.to_string(), &signature(SECRET));
        let cases = [
            (NOW.0 + TOLERANCE_MS, Ok(())),
            (NOW.0 + TOLERANCE_MS + 1, Err(VerifyError::Stale { age_ms: 300_001, limit_ms: 300_000 })),
            (NOW.0 - TOLERANCE_MS, Ok(())),
            (NOW.0 - TOLERANCE_MS - 1, Err(VerifyError::Ahead { ahead_ms: 300_001, limit_ms: 300_000 })),
        ];
        for (now, expected) in cases {
            assert_eq!(check(&headers, UnixMs(now)), expected, "{now}");
        }
    }

    #[test]
    fn headers_must_be_there_and_readable() {
        let seconds = SIGNED_S.to_string();
        let right = signature(SECRET);
        let all = headers(ID, &seconds, &right);
        for (at, header) in [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER].into_iter().enumerate() {
            let mut some = all.clone();
            some.remove(at);
            assert_eq!(check(&some, NOW), Err(VerifyError::MissingHeader { header }));
        }
        let cases = [
            (ID_HEADER, headers("msg.1", &seconds, &right)),
            (TIMESTAMP_HEADER, headers(ID, "hello", &right)),
            (TIMESTAMP_HEADER, headers(ID, "1614265330.5", &right)),
            (TIMESTAMP_HEADER, headers(ID, "-1", &right)),
            (SIGNATURE_HEADER, headers(ID, &seconds, "")),
            (SIGNATURE_HEADER, headers(ID, &seconds, "v1,")),
            (SIGNATURE_HEADER, headers(ID, &seconds, "v1,dawfeoifkpqwoekfpqoekf")),
            (SIGNATURE_HEADER, headers(ID, &seconds, &right[..8])),
            (SIGNATURE_HEADER, headers(ID, &seconds, &right[3..])),
            (SIGNATURE_HEADER, headers(ID, &seconds, &right.replacen("v1", "v2", 1))),
        ];
        for (at, (header, headers)) in cases.into_iter().enumerate() {
            let error = check(&headers, NOW).unwrap_err();
            let named =
                matches!(error, VerifyError::UnreadableHeader { header: found, .. } if found == header);
            assert!(named, "case {at}: {error}");
        }
    }

    #[test]
    fn milliseconds_for_seconds_are_ahead() {
        let timestamp = NOW.0.to_string();
        let signature = sign(&key(SECRET), &Message { id: ID, timestamp: &timestamp, body: BODY });
        let error = check(&headers(ID, &timestamp, &signature), NOW).unwrap_err();
        assert!(matches!(error, VerifyError::Ahead { .. }), "{error}");
    }

    #[test]
    fn covered_bytes_are_what_is_hashed() {
        let message = Message { id: "msg_1", timestamp: "17", body: b"\xff{}" };
        assert_eq!(message.covered(), b"msg_1.17.\xff{}");
    }

    proptest! {
        #[test]
        fn a_changed_request_is_refused(
            body in prop::collection::vec(any::<u8>(), 1..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let key = key(SECRET);
            let seconds = SIGNED_S.to_string();
            let signature = sign(&key, &Message { id: ID, timestamp: &seconds, body: &body });
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            let headers = headers(ID, &seconds, &signature);
            let received = Received { method: "POST", uri: "", headers: &headers, body: &body };
            prop_assert_eq!(verify(&[&key], &received, NOW), Ok(()));
            let received = Received { body: &changed, ..received };
            prop_assert_eq!(
                verify(&[&key], &received, NOW),
                Err(VerifyError::WrongSignature { header: SIGNATURE_HEADER })
            );
        }

        #[test]
        fn no_input_panics(secret in any::<String>(), id in any::<String>(), timestamp in any::<String>(), signature in any::<String>()) {
            let _ = Key::parse(&secret);
            prop_assert!(check(&headers(&id, &timestamp, &signature), UnixMs(0)).is_err());
        }
    }
}
