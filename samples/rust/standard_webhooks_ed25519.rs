use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

/// `webhook-signature` with `v1a`; the public key is `whpk_…`. No secret is needed.
pub fn verify_standard_webhooks_ed25519(
    public_key: &str,
    id: &str,
    timestamp: &str,
    body: &[u8],
    signatures: &str,
    now_ms: u64,
) -> bool {
    let Ok(sent) = timestamp.parse::<u64>() else { return false };
    let key = BASE64_STANDARD.decode(public_key.trim_start_matches("whpk_")).unwrap_or_default();
    let Ok(key) = VerifyingKey::try_from(key.as_slice()) else { return false };
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let valid = |one: &str| {
        let signature = one.strip_prefix("v1a,").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| key.verify_strict(&message, &signature).is_ok())
    };
    (now_ms / 1000).abs_diff(sent) <= 300 && signatures.split(' ').any(valid)
}
