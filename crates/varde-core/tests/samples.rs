//! The Rust samples, compiled and run against the published vectors; those of the other languages are run by
//! `tests/e2e/samples.test.mjs`.
#![expect(clippy::unwrap_used, reason = "a vector file that has another shape fails the test")]

use serde_json::Value;

#[path = "../../../samples/rust"]
mod samples {
    pub mod hubspot_v1;
    pub mod hubspot_v2;
    pub mod hubspot_v3;
    pub mod standard_webhooks;
    pub mod standard_webhooks_ed25519;
}

use samples::hubspot_v1::verify_hubspot_v1;
use samples::hubspot_v2::verify_hubspot_v2;
use samples::hubspot_v3::verify_hubspot_v3;
use samples::standard_webhooks::verify_standard_webhooks;
use samples::standard_webhooks_ed25519::verify_standard_webhooks_ed25519;

const AGE_MS: u64 = 300_000;

type Verify = fn(&str, &str, &str, &[u8], &str, u64) -> bool;

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn field<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap_or_default()
}

/// The same text with another character in its middle.
fn flipped(text: &str) -> String {
    let middle = text.len() / 2;
    let other = if text.as_bytes()[middle] == b'b' { "c" } else { "b" };
    format!("{}{other}{}", &text[..middle], &text[middle + 1..])
}

#[test]
fn hubspot() {
    for vector in vectors(include_str!("../../../tests/vectors/hubspot.json")) {
        let [version, secret, method, url, body, timestamp, signature] =
            ["version", "secret", "method", "uri", "body", "timestamp", "expected_signature"]
                .map(|name| field(&vector, name));
        let now = timestamp.parse().map_or(0, |sent: u64| sent + AGE_MS);
        let verify = |secret: &str, url: &str, body: &str, signature: &str, now: u64| match version {
            "v1" => verify_hubspot_v1(secret, body.as_bytes(), signature),
            "v2" => verify_hubspot_v2(secret, method, url, body.as_bytes(), signature),
            _ => verify_hubspot_v3(secret, method, url, body.as_bytes(), timestamp, signature, now),
        };
        assert!(verify(secret, url, body, signature, now), "{vector}");
        assert!(!verify(&flipped(secret), url, body, signature, now), "{vector}");
        assert!(!verify(secret, url, &format!("{body} "), signature, now), "{vector}");
        assert!(!verify(secret, url, body, &flipped(signature), now), "{vector}");
        assert!(!verify(secret, url, body, "", now), "{vector}");
        assert_eq!(verify(secret, &format!("{url}/"), body, signature, now), version == "v1", "{vector}");
        assert_eq!(verify(secret, url, body, signature, now + 1), version != "v3", "{vector}");
    }
}

#[test]
fn standard_webhooks() {
    let symmetric = vectors(include_str!("../../../tests/vectors/standard_webhooks.json"));
    let asymmetric = vectors(include_str!("../../../tests/vectors/standard_webhooks_ed25519.json"));
    let all =
        symmetric.into_iter().map(|vector| (vector, "secret", verify_standard_webhooks as Verify)).chain(
            asymmetric
                .into_iter()
                .map(|vector| (vector, "public_key", verify_standard_webhooks_ed25519 as Verify)),
        );
    for (vector, key, verify) in all {
        let [key, id, timestamp, body, signature] =
            [key, "webhook_id", "timestamp", "body", "expected_signature"].map(|name| field(&vector, name));
        let now = timestamp.parse::<u64>().unwrap() * 1_000 + AGE_MS;
        let body = body.as_bytes();
        assert!(verify(key, id, timestamp, body, signature, now), "{vector}");
        assert!(verify(key, id, timestamp, body, &format!("v1,AAAA {signature} v1a,AAAA"), now), "{vector}");
        assert!(!verify(&flipped(key), id, timestamp, body, signature, now), "{vector}");
        assert!(!verify(key, &format!("{id}x"), timestamp, body, signature, now), "{vector}");
        assert!(!verify(key, id, timestamp, &[body, b" "].concat(), signature, now), "{vector}");
        assert!(!verify(key, id, timestamp, body, &flipped(signature), now), "{vector}");
        assert!(!verify(key, id, timestamp, body, signature, now + 1_000), "{vector}");
        assert!(!verify(key, id, "soon", body, signature, now), "{vector}");
    }
}
