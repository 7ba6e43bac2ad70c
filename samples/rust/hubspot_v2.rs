use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// `X-HubSpot-Signature` with `X-HubSpot-Signature-Version: v2`. The URL is the whole one, as it was called.
pub fn verify_hubspot_v2(secret: &str, method: &str, url: &str, body: &[u8], signature: &str) -> bool {
    let signed = Sha256::new().chain_update(secret).chain_update(method).chain_update(url).chain_update(body);
    let expected = hex::encode(signed.finalize());
    expected.as_bytes().ct_eq(signature.as_bytes()).into()
}
