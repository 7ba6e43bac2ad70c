//! Secrets at rest: AES-256-GCM under the master key, with the secret's name as associated data, so that
//! a sealed value can't be moved to another name.
//!
//! A sealed value is text: `v1.<key id>.<base64url of nonce, ciphertext and tag>`. The key id is 8
//! hexadecimal digits of a hash of the master key: it tells another key from changed bytes, which the
//! tag alone can't, and it says nothing about a key of 256 random bits.

use core::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Secret;

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
/// Bytes of a nonce. Random ones are safe for 2^32 values under one key (NIST SP 800-38D, 8.3).
pub const NONCE_BYTES: usize = 12;
const KEY_ID_BYTES: usize = 4;
const KEY_ID_CONTEXT: &[u8] = b"varde master key id";

/// People make keys with whatever tool they have, so padding is taken or left.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key that seals all secrets. Its `Debug` shows nothing; its memory is wiped when dropped.
#[derive(Clone)]
pub struct MasterKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
    id: [u8; KEY_ID_BYTES],
}

/// A text that isn't a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMasterKey {
    /// It isn't base64.
    #[error("expected base64 of {KEY_BYTES} bytes, but it doesn't decode")]
    NotBase64,
    /// It is base64 of something else.
    #[error("expected base64 of {KEY_BYTES} bytes, found {found}")]
    WrongLength {
        /// Bytes after decoding.
        found: usize,
    },
}

impl MasterKey {
    /// Reads a key from base64; white space around it doesn't count.
    ///
    /// # Errors
    ///
    /// [`InvalidMasterKey`] for what isn't base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, InvalidMasterKey> {
        let bytes = Zeroizing::new(LENIENT.decode(text.trim()).map_err(|_| InvalidMasterKey::NotBase64)?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(InvalidMasterKey::WrongLength { found: bytes.len() });
        }
        key.copy_from_slice(&bytes);
        let hash = Sha256::new().chain_update(KEY_ID_CONTEXT).chain_update(&key[..]).finalize();
        let id = core::array::from_fn(|at| hash[at]);
        Ok(Self { key, id })
    }

    /// Seals a value under a name. `nonce` must be random and new for every call.
    #[must_use]
    pub fn seal(&self, name: &str, value: &Secret, nonce: &[u8; NONCE_BYTES]) -> Sealed {
        let message = Payload { msg: value.expose().as_bytes(), aad: name.as_bytes() };
        let ciphertext = self
            .cipher()
            .encrypt(Nonce::from_slice(nonce), message)
            .expect("invariant: a value of some kilobytes is far below GCM's limit");
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&ciphertext);
        Sealed(format!("{VERSION}.{}.{}", hex::encode(self.id), URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Opens a value that was sealed under the same name.
    ///
    /// # Errors
    ///
    /// [`UnsealError`], never with the value in it.
    pub fn unseal(&self, name: &str, sealed: &Sealed) -> Result<Secret, UnsealError> {
        let (key_id, bytes) = sealed.parts().ok_or(UnsealError::UnknownFormat)?;
        if key_id != self.id {
            let (sealed_by, ours) = (hex::encode(key_id), hex::encode(self.id));
            return Err(UnsealError::OtherKey { sealed_by, ours });
        }
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(UnsealError::UnknownFormat)?;
        let message = Payload { msg: ciphertext, aad: name.as_bytes() };
        let plain = self
            .cipher()
            .decrypt(Nonce::from_slice(nonce), message)
            .map(Zeroizing::new)
            .map_err(|_| UnsealError::Changed)?;
        let text = core::str::from_utf8(&plain).map_err(|_| UnsealError::Changed)?;
        // Not `Secret::new`: what was once accepted stays readable when the rules for new values change.
        Ok(Secret(Zeroizing::new(text.to_owned())))
    }

    /// Whether a value names this key as the one that sealed it.
    #[must_use]
    pub fn sealed(&self, sealed: &Sealed) -> bool {
        sealed.parts().is_some_and(|(key_id, _)| key_id == self.id)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.key).into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// A sealed value, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    fn parts(&self) -> Option<([u8; KEY_ID_BYTES], Vec<u8>)> {
        let mut parts = self.0.split('.');
        let (version, key_id, bytes) = (parts.next()?, parts.next()?, parts.next()?);
        if version != VERSION || parts.next().is_some() {
            return None;
        }
        let mut id = [0; KEY_ID_BYTES];
        hex::decode_to_slice(key_id, &mut id).ok()?;
        Some((id, URL_SAFE_NO_PAD.decode(bytes).ok()?))
    }
}

impl fmt::Debug for Sealed {
    /// Shows no ciphertext either: logs aren't the place for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Why a sealed value can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed under another master key.
    #[error("sealed under another master key (id {sealed_by}) than the one in force (id {ours})")]
    OtherKey {
        /// Id of the key that sealed it.
        sealed_by: String,
        /// Id of the key that was tried.
        ours: String,
    },
    /// Its bytes, or the name they belong to, aren't what was sealed.
    #[error("the sealed bytes were changed, or belong to another name")]
    Changed,
    /// It isn't of the form that this version writes.
    #[error("sealed in a format that this version doesn't know")]
    UnknownFormat,
}

impl UnsealError {
    /// A stable slug for logs and answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherKey { .. } => "other_master_key",
            Self::Changed => "sealed_value_changed",
            Self::UnknownFormat => "unknown_sealed_format",
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_base64(&STANDARD.encode([byte; 32])).unwrap()
    }

    fn secret(value: &str) -> Secret {
        Secret::new(value).unwrap()
    }

    #[test]
    fn sealed_format_unchanged() {
        let key = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let sealed = key.seal("shipping-app", &secret("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &NONCE);
        let expected = "v1.965685ba.BwcHBwcHBwcHBwcHdhPfJRZ2ro3r5Gr5-XyN4tgloArxjvg0h8Ing32nS2JePYgHPQAI-ZjcD-Z_H3GvhQbGJQ";
        assert_eq!(sealed.0, expected);
        let read: Sealed = serde_json::from_str(&format!("\"{expected}\"")).unwrap();
        assert_eq!(key.unseal("shipping-app", &read), Ok(secret("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy")));
    }

    #[test]
    fn reads_keys() {
        let text = STANDARD.encode([1; 32]);
        for good in
            [text.clone(), format!("{text}\n"), format!(" {text} "), text.trim_end_matches('=').to_owned()]
        {
            assert_eq!(MasterKey::from_base64(&good).map(|key| key.id), Ok(key(1).id), "{good:?}");
        }
        let cases = [
            (String::new(), InvalidMasterKey::WrongLength { found: 0 }),
            (STANDARD.encode([1; 31]), InvalidMasterKey::WrongLength { found: 31 }),
            (STANDARD.encode([1; 33]), InvalidMasterKey::WrongLength { found: 33 }),
            ("correct horse".to_owned(), InvalidMasterKey::NotBase64),
        ];
        for (bad, expected) in cases {
            assert_eq!(MasterKey::from_base64(&bad).map(|key| key.id), Err(expected), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let sealed = key(1).seal("a", &secret("value"), &NONCE);
        assert_eq!(format!("{:?} {sealed:?}", key(1)), "MasterKey(…) Sealed(…)");
    }

    #[test]
    fn another_key_is_told_from_changed_bytes() {
        let sealed = key(1).seal("a", &secret("value"), &NONCE);
        let error = key(2).unseal("a", &sealed).unwrap_err();
        assert_eq!(error.code(), "other_master_key");
        assert!(error.to_string().contains(&hex::encode(key(1).id)), "{error}");
        assert!(error.to_string().contains(&hex::encode(key(2).id)), "{error}");
        // Another key whose id was forged into the text is found out by the tag.
        let forged = Sealed(sealed.0.replace(&hex::encode(key(1).id), &hex::encode(key(2).id)));
        assert_eq!(key(2).unseal("a", &forged), Err(UnsealError::Changed));
    }

    #[test]
    fn a_value_belongs_to_its_name() {
        let sealed = key(1).seal("a", &secret("value"), &NONCE);
        assert_eq!(key(1).unseal("a", &sealed), Ok(secret("value")));
        assert_eq!(key(1).unseal("b", &sealed), Err(UnsealError::Changed));
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let id = hex::encode(key(1).id);
        let cases = [
            (String::new(), UnsealError::UnknownFormat),
            ("value".to_owned(), UnsealError::UnknownFormat),
            (format!("v2.{id}.AAAA"), UnsealError::UnknownFormat),
            (format!("v1.{id}"), UnsealError::UnknownFormat),
            (format!("v1.{id}.AAAA"), UnsealError::UnknownFormat),
            (format!("v1.{id}.AAAA.AAAA"), UnsealError::UnknownFormat),
            (format!("v1.{id}.not base64"), UnsealError::UnknownFormat),
            (format!("v1.{id}00.AAAA"), UnsealError::UnknownFormat),
            (format!("v1.{id}.{}", "A".repeat(16)), UnsealError::Changed),
            (format!("v1.{id}.{}", "A".repeat(64)), UnsealError::Changed),
        ];
        for (text, expected) in cases {
            assert_eq!(key(1).unseal("a", &Sealed(text.clone())), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed_and_nothing_else(
            value in "[!-~ø]{1,80}",
            nonce in any::<[u8; NONCE_BYTES]>(),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let key = key(1);
            let sealed = key.seal("a", &secret(&value), &nonce);
            prop_assert_eq!(key.unseal("a", &sealed), Ok(secret(&value)));
            let (id, mut bytes) = sealed.parts().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let changed = Sealed(format!("v1.{}.{}", hex::encode(id), URL_SAFE_NO_PAD.encode(bytes)));
            prop_assert_eq!(key.unseal("a", &changed), Err(UnsealError::Changed));
        }
    }
}
