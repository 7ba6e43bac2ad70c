use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// `X-HubSpot-Signature` with `X-HubSpot-Signature-Version: v1`. The body is the raw one, as it arrived.
pub fn verify_hubspot_v1(secret: &str, body: &[u8], signature: &str) -> bool {
    let expected = hex::encode(Sha256::new().chain_update(secret).chain_update(body).finalize());
    expected.as_bytes().ct_eq(signature.as_bytes()).into()
}
