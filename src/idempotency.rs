//! `Idempotency-Key`: what is remembered of it, instead of it.

use sha2::{Digest as _, Sha256};

use crate::http::error::Problem;
use crate::outbox_do::protocol::Idempotency;

/// Longest key; the draft of the HTTP header field names no limit, and UUIDs have 36 characters.
const MAX_KEY_LENGTH: usize = 255;

/// A key as it is stored: hashed with the record, in whose shard it lives, and a hash of the input.
///
/// # Errors
/// 422 when the key is empty or too long.
pub fn used(key: &str, record: &str, input: &str) -> Result<Idempotency, Problem> {
    if key.is_empty() || key.len() > MAX_KEY_LENGTH {
        let detail = format!("an Idempotency-Key has 1 to {MAX_KEY_LENGTH} characters, found {}", key.len());
        return Err(Problem::unprocessable("invalid_idempotency_key", detail));
    }
    // The length in front keeps ("ab", "c") and ("a", "bc") apart.
    let key =
        Sha256::new().chain_update((key.len() as u64).to_be_bytes()).chain_update(key).chain_update(record);
    Ok(Idempotency { key: hex::encode(key.finalize()), body_hash: hex::encode(Sha256::digest(input)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_their_record() {
        let key = |key, record| used(key, record, "{}").map(|used| used.key).ok();
        assert_eq!(key("k", "1"), key("k", "1"));
        assert_ne!(key("k", "1"), key("k", "2"));
        assert_ne!(key("k1", "2"), key("k", "12"));
    }

    #[test]
    fn stored_key_format_unchanged() {
        let used = used("k", "1", "{}").ok();
        let expected = Idempotency {
            key: "af98b4a7307399821b3612364bde9d26ba9f5d2015b2052f62788f26337010ef".to_owned(),
            body_hash: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".to_owned(),
        };
        assert_eq!(used, Some(expected));
    }

    #[test]
    fn refuses_keys_without_end() {
        assert!(used("", "1", "{}").is_err());
        assert!(used(&"k".repeat(MAX_KEY_LENGTH), "1", "{}").is_ok());
        assert!(used(&"k".repeat(MAX_KEY_LENGTH + 1), "1", "{}").is_err());
    }
}
