//! The signatures of Standard Webhooks 1.0: `v1,base64(hmac_sha256(key, id.timestamp.body))`, symmetric, and
//! `v1a,base64(ed25519(key, id.timestamp.body))`, asymmetric.
//!
//! The header holds one signature per key in force, separated by spaces. Source: Standard Webhooks,
//! "Signature scheme" and "Webhook headers".

use core::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ed25519_dalek::{KEYPAIR_LENGTH, SECRET_KEY_LENGTH, Signature, Signer as _, SigningKey, VerifyingKey};
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

/// What a symmetric secret's text starts with.
pub const PREFIX: &str = "whsec_";
/// What the text of the secret half of an ed25519 pair starts with.
pub const SECRET_KEY_PREFIX: &str = "whsk_";
/// What the text of the public half of an ed25519 pair starts with.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";

/// Shortest symmetric key, by the specification. Its longest (64 bytes) isn't enforced: HMAC takes any length, and
/// there are senders with longer ones.
pub const MIN_KEY_BYTES: usize = 24;

/// Most signatures in one header that are looked at; with more, checking would be work for an attacker
/// to order.
const MAX_SIGNATURES: usize = 20;
/// The same for ed25519, where a check costs far more: a key, a former and a next one, and some.
const MAX_ED25519_SIGNATURES: usize = 5;

/// Keys come from everywhere, so padding is taken or left.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A text that isn't a key, or one that can't do what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// What follows the prefix isn't base64.
    #[error("expected `whsec_`, `whsk_` or `whpk_` and base64, but what follows doesn't decode")]
    NotBase64,
    /// The symmetric key is shorter than the specification allows.
    #[error("expected a key of at least {MIN_KEY_BYTES} bytes, found {found}")]
    TooShort {
        /// Bytes after decoding.
        found: usize,
    },
    /// The secret half of a pair has another length than ed25519 keys have.
    #[error("expected a `whsk_` key of {SECRET_KEY_LENGTH} or {KEYPAIR_LENGTH} bytes, found {found}")]
    NotASecretKey {
        /// Bytes after decoding.
        found: usize,
    },
    /// The 64 bytes of a pair hold a public key that isn't the secret one's. To sign with both would give
    /// the secret key away.
    #[error("the public key in the last 32 bytes isn't that of the secret key in the first 32")]
    UnpairedHalves,
    /// The public half of a pair isn't a point that ed25519 knows, or has another length.
    #[error("expected a `whpk_` key of 32 bytes that is a point on the curve, found {found} bytes")]
    NotAPublicKey {
        /// Bytes after decoding.
        found: usize,
    },
    /// A public key can't sign.
    #[error("expected a key that can sign (`whsec_…` or `whsk_…`), found a public key (`whpk_…`)")]
    PublicOnly,
}

impl InvalidKey {
    /// A stable slug for answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_secret"
    }
}

/// A key: shared by both sides (`whsec_…`), or either half of an ed25519 pair (`whsk_…`, `whpk_…`).
///
/// All three check signatures; a public one can't make any. Its `Debug` shows nothing; the memory of secret
/// ones is wiped when dropped.
#[derive(Clone)]
pub struct Key(Kind);

#[derive(Clone)]
enum Kind {
    Shared(Zeroizing<Vec<u8>>),
    Pair(Box<SigningKey>),
    Public(Box<VerifyingKey>),
}

impl Key {
    /// Reads a secret's text: `whsec_` and the key, `whsk_` and the 32 bytes of a secret key or these and
    /// the public one's 32, `whpk_` and the 32 bytes of a public key. No prefix stands for `whsec_`, as in
    /// the reference implementations.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for what isn't base64 and for other lengths: less than [`MIN_KEY_BYTES`] of a
    /// symmetric key, for one.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let decode = |encoded| LENIENT.decode(encoded).map(Zeroizing::new).map_err(|_| InvalidKey::NotBase64);
        if let Some(encoded) = text.strip_prefix(SECRET_KEY_PREFIX) {
            return pair(&decode(encoded)?).map(|pair| Self(Kind::Pair(Box::new(pair))));
        }
        if let Some(encoded) = text.strip_prefix(PUBLIC_KEY_PREFIX) {
            let bytes = decode(encoded)?;
            let not_a_key = InvalidKey::NotAPublicKey { found: bytes.len() };
            let public = VerifyingKey::try_from(bytes.as_slice()).map_err(|_| not_a_key)?;
            return Ok(Self(Kind::Public(Box::new(public))));
        }
        let key = decode(text.strip_prefix(PREFIX).unwrap_or(text))?;
        if key.len() < MIN_KEY_BYTES {
            return Err(InvalidKey::TooShort { found: key.len() });
        }
        Ok(Self(Kind::Shared(key)))
    }

    /// As [`Key::parse`], for a key that has to sign.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`], [`InvalidKey::PublicOnly`] included.
    pub fn parse_signing(text: &str) -> Result<Self, InvalidKey> {
        let key = Self::parse(text)?;
        if matches!(key.0, Kind::Public(_)) { Err(InvalidKey::PublicOnly) } else { Ok(key) }
    }

    /// The `whpk_…` of an ed25519 key; `None` for a symmetric one, which has nothing that may be known.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        let public = match &self.0 {
            Kind::Shared(_) => return None,
            Kind::Pair(pair) => pair.verifying_key(),
            Kind::Public(public) => **public,
        };
        Some(format!("{PUBLIC_KEY_PREFIX}{}", STANDARD.encode(public.as_bytes())))
    }

    const fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Shared(_))
    }

    /// Whether one of the signatures is this key's. Looks at all of its kind, so that the time taken doesn't
    /// tell which one it was.
    fn made_any(&self, given: &Given, message: &Message<'_>) -> bool {
        let public = match &self.0 {
            Kind::Shared(key) => {
                let expected = digest(key, message);
                return given.digests.iter().fold(false, |found, given| found | same(&expected, given));
            }
            Kind::Pair(pair) => pair.verifying_key(),
            Kind::Public(public) => **public,
        };
        let covered = message.covered();
        given.ed25519.iter().any(|signature| public.verify_strict(&covered, signature).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The text of the secret key that 256 random bits are, with its public key, as the reference server writes it.
#[must_use]
pub fn secret_key_text(dice: &[u8; SECRET_KEY_LENGTH]) -> Zeroizing<String> {
    let bytes = Zeroizing::new(SigningKey::from_bytes(dice).to_keypair_bytes());
    let mut text = Zeroizing::new(SECRET_KEY_PREFIX.to_owned());
    STANDARD.encode_string(&bytes[..], &mut text);
    text
}

fn pair(bytes: &[u8]) -> Result<SigningKey, InvalidKey> {
    let (secret, public) = match bytes.len() {
        SECRET_KEY_LENGTH => (bytes, None),
        KEYPAIR_LENGTH => (&bytes[..SECRET_KEY_LENGTH], Some(&bytes[SECRET_KEY_LENGTH..])),
        found => return Err(InvalidKey::NotASecretKey { found }),
    };
    let pair = SigningKey::try_from(secret).map_err(|_| InvalidKey::NotASecretKey { found: secret.len() })?;
    if public.is_some_and(|public| public != pair.verifying_key().as_bytes()) {
        return Err(InvalidKey::UnpairedHalves);
    }
    Ok(pair)
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

/// Returns one signature: `v1,…`, or `v1a,…` for an ed25519 key.
///
/// # Errors
///
/// [`InvalidKey::PublicOnly`] for a public key.
///
/// ```
/// use varde_core::signature::standard_webhooks::{Key, Message, sign};
///
/// let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let message =
///     Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: b"{\"test\": 2432232314}" };
/// assert_eq!(sign(&key, &message)?, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// # Ok::<(), varde_core::signature::standard_webhooks::InvalidKey>(())
/// ```
pub fn sign(key: &Key, message: &Message<'_>) -> Result<String, InvalidKey> {
    match &key.0 {
        Kind::Shared(key) => Ok(format!("v1,{}", STANDARD.encode(digest(key, message)))),
        Kind::Pair(pair) => Ok(format!("v1a,{}", STANDARD.encode(pair.sign(&message.covered()).to_bytes()))),
        Kind::Public(_) => Err(InvalidKey::PublicOnly),
    }
}

/// Checks a received request; any of `keys` may have made any of its signatures.
///
/// # Errors
///
/// The first that applies of: a header missing, a header in another form (no signature of a kind that the
/// keys can check included), no key that gives one of the signatures, further than [`TOLERANCE_MS`] from `now`.
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
    let given = Given::read(signatures);
    given.refuse_unreadable(keys)?;
    let message = Message { id, timestamp, body: received.body };
    // Every key is tried, so that the time taken doesn't tell which one it was.
    let matches = keys.iter().fold(false, |found, key| found | key.made_any(&given, &message));
    if !matches {
        return Err(VerifyError::WrongSignature { header: SIGNATURE_HEADER });
    }
    let signed = UnixMs(signed.saturating_mul(SECOND_MS));
    refuse_stale(signed, now, TOLERANCE_MS)?;
    refuse_ahead(signed, now, TOLERANCE_MS)
}

/// The signatures in a header that can be read, of either kind.
struct Given {
    digests: Vec<Digest>,
    ed25519: Vec<Signature>,
}

impl Given {
    fn read(signatures: &str) -> Self {
        let all = || signatures.split(' ');
        let digests = all()
            .filter_map(|signature| digest_from_base64(signature.strip_prefix("v1,")?))
            .take(MAX_SIGNATURES)
            .collect();
        let ed25519 = all()
            .filter_map(|signature| {
                let bytes = STANDARD.decode(signature.strip_prefix("v1a,")?).ok()?;
                Signature::from_slice(&bytes).ok()
            })
            .take(MAX_ED25519_SIGNATURES)
            .collect();
        Self { digests, ed25519 }
    }

    /// Another secret is no explanation where there is nothing that the keys could have made.
    fn refuse_unreadable(&self, keys: &[&Key]) -> Result<(), VerifyError> {
        let shared = keys.iter().any(|key| key.is_shared());
        let pairs = keys.iter().any(|key| !key.is_shared());
        let expected = match (shared, pairs) {
            (true, false) if self.digests.is_empty() => {
                "`v1,` and base64 of 32 bytes, one or more, separated by spaces"
            }
            (false, true) if self.ed25519.is_empty() => {
                "`v1a,` and base64 of 64 bytes, one or more, separated by spaces"
            }
            _ if self.digests.is_empty() && self.ed25519.is_empty() => {
                "`v1,` or `v1a,` and base64, one or more, separated by spaces"
            }
            _ => return Ok(()),
        };
        Err(VerifyError::UnreadableHeader { header: SIGNATURE_HEADER, expected })
    }
}

fn digest(key: &[u8], message: &Message<'_>) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes any length");
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
    const SECRET_KEY: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const SEED: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
    const PUBLIC_KEY: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SIGNED_S: u64 = 1_614_265_330;
    const NOW: UnixMs = UnixMs(SIGNED_S * 1_000);
    const BODY: &[u8] = b"{\"test\": 2432232314}";

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn signature(secret: &str) -> String {
        sign(&key(secret), &Message { id: ID, timestamp: &SIGNED_S.to_string(), body: BODY }).unwrap()
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
        for text in [
            SECRET,
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            &long,
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA",
            SECRET_KEY,
            SEED,
            PUBLIC_KEY,
        ] {
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
            ("whsk_", InvalidKey::NotASecretKey { found: 0 }),
            ("whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA", InvalidKey::NotASecretKey { found: 25 }),
            ("whsk_not base64", InvalidKey::NotBase64),
            (
                "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==",
                InvalidKey::UnpairedHalves,
            ),
            ("whpk_", InvalidKey::NotAPublicKey { found: 0 }),
            ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOig==", InvalidKey::NotAPublicKey { found: 31 }),
            ("whpk_AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", InvalidKey::NotAPublicKey { found: 32 }),
        ];
        for (text, expected) in cases {
            assert_eq!(Key::parse(text).map(|_| ()), Err(expected), "{text}");
            assert_eq!(expected.code(), "invalid_secret");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        for text in [SECRET, SECRET_KEY, PUBLIC_KEY] {
            assert_eq!(format!("{:?}", key(text)), "Key(…)");
        }
    }

    #[test]
    fn a_pair_has_a_public_key() {
        for text in [SECRET_KEY, SEED, PUBLIC_KEY] {
            assert_eq!(key(text).public_key().as_deref(), Some(PUBLIC_KEY), "{text}");
        }
        assert_eq!(key(SECRET).public_key(), None);
    }

    #[test]
    fn a_public_key_checks_and_can_t_sign() {
        let right = signature(SECRET_KEY);
        assert_eq!(signature(SEED), right);
        let headers = headers(ID, &SIGNED_S.to_string(), &right);
        let received = Received { method: "POST", uri: "https://a.example/", headers: &headers, body: BODY };
        for text in [SECRET_KEY, SEED, PUBLIC_KEY] {
            assert_eq!(verify(&[&key(text)], &received, NOW), Ok(()), "{text}");
        }
        let message = Message { id: ID, timestamp: "1", body: BODY };
        assert_eq!(sign(&key(PUBLIC_KEY), &message), Err(InvalidKey::PublicOnly));
        assert_eq!(Key::parse_signing(PUBLIC_KEY).map(|_| ()), Err(InvalidKey::PublicOnly));
        assert!([SECRET, SECRET_KEY, SEED].into_iter().all(|text| Key::parse_signing(text).is_ok()));
    }

    #[test]
    fn both_kinds_stand_side_by_side() {
        let (shared, pair) = (signature(SECRET), signature(SECRET_KEY));
        let result = |keys: &[&str], signatures: &str| {
            let keys: Vec<Key> = keys.iter().map(|text| key(text)).collect();
            let keys: Vec<&Key> = keys.iter().collect();
            let headers = headers(ID, &SIGNED_S.to_string(), signatures);
            let received = Received { method: "POST", uri: "", headers: &headers, body: BODY };
            verify(&keys, &received, NOW).map_err(|error| error.code())
        };
        let both = format!("{shared} {pair}");
        for keys in [vec![SECRET], vec![PUBLIC_KEY], vec![OTHER, PUBLIC_KEY], vec![PUBLIC_KEY, SECRET]] {
            assert_eq!(result(&keys, &both), Ok(()), "{keys:?}");
        }
        assert_eq!(result(&[OTHER, PUBLIC_KEY], &pair), Ok(()));
        assert_eq!(result(&[OTHER], &both), Err("wrong_signature"));
        // What the keys can't check is no wrong signature.
        assert_eq!(result(&[PUBLIC_KEY], &shared), Err("unreadable_header"));
        assert_eq!(result(&[SECRET], &pair), Err("unreadable_header"));
        assert_eq!(result(&[SECRET, PUBLIC_KEY], "v2,abc"), Err("unreadable_header"));
        // A signature of one kind under the name of the other.
        assert_eq!(result(&[SECRET, PUBLIC_KEY], &pair.replacen("v1a", "v1", 1)), Err("unreadable_header"));
        assert_eq!(result(&[PUBLIC_KEY], &signature(&secret_key_text(&[7; 32]))), Err("wrong_signature"));
    }

    #[test]
    fn secret_key_format_unchanged() {
        let seed = STANDARD.decode(SEED.strip_prefix(SECRET_KEY_PREFIX).unwrap()).unwrap();
        assert_eq!(*secret_key_text(&seed.try_into().unwrap()), SECRET_KEY);
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
        for (secret, wrong, bound) in [
            (SECRET, signature(OTHER), MAX_SIGNATURES),
            (SECRET_KEY, signature(&secret_key_text(&[7; 32])), MAX_ED25519_SIGNATURES),
        ] {
            let check = |before| {
                let list = format!("{}{}", format!("{wrong} ").repeat(before), signature(secret));
                let headers = headers(ID, &SIGNED_S.to_string(), &list);
                let received = Received { method: "POST", uri: "", headers: &headers, body: BODY };
                verify(&[&key(secret)], &received, NOW)
            };
            assert_eq!(check(bound - 1), Ok(()));
            assert!(check(bound).is_err());
        }
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
        let signature = sign(&key(SECRET), &Message { id: ID, timestamp: &timestamp, body: BODY }).unwrap();
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
            pair in any::<bool>(),
        ) {
            let key = key(if pair { SECRET_KEY } else { SECRET });
            let seconds = SIGNED_S.to_string();
            let signature = sign(&key, &Message { id: ID, timestamp: &seconds, body: &body }).unwrap();
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
