use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Exactly these escapes are decoded, once.
const DECODED: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];

/// `X-HubSpot-Signature-v3`, with the time of `X-HubSpot-Request-Timestamp`.
pub fn verify_hubspot_v3(
    secret: &str,
    method: &str,
    url: &str,
    body: &[u8],
    timestamp: &str,
    signature: &str,
    now_ms: u64,
) -> bool {
    let Ok(sent) = timestamp.parse::<u64>() else { return false };
    let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
    let mut uri = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(first) = rest.chars().next() {
        let escape = rest.get(..3).unwrap_or_default();
        let known = DECODED.iter().find(|(known, _)| known.eq_ignore_ascii_case(escape));
        uri.push(known.map_or(first, |(_, character)| *character));
        rest = &rest[known.map_or(first.len_utf8(), |_| 3)..];
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    for part in [method.as_bytes(), uri.as_bytes(), body, timestamp.as_bytes()] {
        mac.update(part);
    }
    now_ms.saturating_sub(sent) <= 300_000 && mac.verify_slice(&signature).is_ok()
}
