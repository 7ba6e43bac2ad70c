//! Published signature vectors: what others computed, we compute, and what they refuse, we refuse.
#![expect(clippy::unwrap_used, reason = "a vector file that has another shape fails the test")]

use serde_json::Value;
use varde_core::signature::{Received, VerifyError, hubspot, standard_webhooks};
use varde_core::time::UnixMs;

const HUBSPOT: &str = include_str!("../../../tests/vectors/hubspot.json");
const STANDARD_WEBHOOKS: &str = include_str!("../../../tests/vectors/standard_webhooks.json");
const STANDARD_WEBHOOKS_ED25519: &str = include_str!("../../../tests/vectors/standard_webhooks_ed25519.json");

struct HubspotVector {
    id: String,
    version: hubspot::Version,
    secret: String,
    method: String,
    uri: String,
    signed_uri: String,
    body: String,
    timestamp: String,
    source_string: String,
    signature: String,
}

impl HubspotVector {
    fn message(&self) -> hubspot::Message<'_> {
        hubspot::Message {
            method: &self.method,
            uri: &self.uri,
            body: self.body.as_bytes(),
            timestamp: &self.timestamp,
        }
    }

    /// Verifies the vector's request with `signature`, at the moment of signing.
    fn verify(&self, signature: &str) -> Result<(), VerifyError> {
        let headers = [
            (self.version.header().to_owned(), signature.to_owned()),
            (hubspot::TIMESTAMP_HEADER.to_owned(), self.timestamp.clone()),
        ];
        let message = self.message();
        let received =
            Received { method: message.method, uri: message.uri, headers: &headers, body: message.body };
        let now = UnixMs(self.timestamp.parse().unwrap_or_default());
        hubspot::verify(self.version, &[self.secret.as_bytes()], &received, now)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn hubspot_file() -> Value {
    serde_json::from_str(HUBSPOT).unwrap()
}

fn hubspot_vectors() -> Vec<HubspotVector> {
    let file = hubspot_file();
    let vectors: Vec<_> = file["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| HubspotVector {
            id: text(&vector["id"]),
            version: serde_json::from_value(vector["version"].clone()).unwrap(),
            secret: text(&vector["secret"]),
            method: text(&vector["method"]),
            uri: text(&vector["uri"]),
            signed_uri: text(&vector["signed_uri"]),
            body: text(&vector["body"]),
            timestamp: text(&vector["timestamp"]),
            source_string: text(&vector["source_string"]),
            signature: text(&vector["expected_signature"]),
        })
        .collect();
    assert_eq!(vectors.len(), 8);
    vectors
}

#[test]
fn hubspot_signatures() {
    for vector in hubspot_vectors() {
        let signature = hubspot::sign(vector.version, vector.secret.as_bytes(), &vector.message());
        assert_eq!(signature, vector.signature, "{}", vector.id);
        assert_eq!(vector.verify(&vector.signature), Ok(()), "{}", vector.id);
    }
}

#[test]
fn hubspot_source_strings() {
    for vector in hubspot_vectors() {
        let secret = if vector.version == hubspot::Version::V3 { "" } else { &vector.secret };
        let covered = String::from_utf8(vector.message().covered(vector.version)).unwrap();
        assert_eq!(format!("{secret}{covered}"), vector.source_string, "{}", vector.id);
        if vector.version == hubspot::Version::V3 {
            assert_eq!(hubspot::v3_uri(&vector.uri), vector.signed_uri, "{}", vector.id);
        }
    }
}

#[test]
fn hubspot_decode_table() {
    let file = hubspot_file();
    let table = file["rules"]["v3_decode_table"].as_object().unwrap();
    assert_eq!(table.len(), 12);
    for byte in 0..=u8::MAX {
        let escape = format!("%{byte:02X}");
        let expected = table.get(&escape).and_then(Value::as_str).unwrap_or(&escape);
        assert_eq!(hubspot::v3_uri(&escape), expected);
    }
    assert_eq!(file["rules"]["max_age_ms"].as_u64(), Some(hubspot::MAX_AGE_MS));
}

/// Each known mistake gives the signature in the file, and that signature is refused.
#[test]
fn hubspot_mistakes() {
    let vectors = hubspot_vectors();
    let file = hubspot_file();
    let negatives = file["negative"].as_array().unwrap();
    assert_eq!(negatives.len(), 5);
    for negative in negatives {
        let id = text(&negative["id"]);
        let vector = vectors.iter().find(|vector| vector.id == text(&negative["of"])).unwrap();
        let changed = match id.as_str() {
            "neg-v3-http-scheme" => {
                (vector.uri.replacen("https:", "http:", 1), &vector.body, &vector.timestamp)
            }
            "neg-v3-trailing-slash" => (format!("{}/", vector.uri), &vector.body, &vector.timestamp),
            "neg-v3-float-timestamp" => {
                (vector.uri.clone(), &vector.body, &format!("{}.0", vector.timestamp))
            }
            "neg-v2-reserialised-body" => {
                (vector.uri.clone(), &vector.body.replacen(':', ": ", 1), &vector.timestamp)
            }
            "neg-v2-reordered-query" => (swapped_query(&vector.uri), &vector.body, &vector.timestamp),
            unknown => panic!("no rule for {unknown}"),
        };
        let message = hubspot::Message {
            method: &vector.method,
            uri: &changed.0,
            body: changed.1.as_bytes(),
            timestamp: changed.2,
        };
        let signature = text(&negative["signature"]);
        assert_eq!(hubspot::sign(vector.version, vector.secret.as_bytes(), &message), signature, "{id}");
        let refused = Err(VerifyError::WrongSignature { header: vector.version.header() });
        assert_eq!(vector.verify(&signature), refused, "{id}");
    }
}

/// The vector's note says "sorted", but its parameters are in order already: the first two are swapped.
fn swapped_query(uri: &str) -> String {
    let (base, query) = uri.split_once('?').unwrap();
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.swap(0, 1);
    format!("{base}?{}", pairs.join("&"))
}

#[test]
fn standard_webhooks_signatures() {
    let file: Value = serde_json::from_str(STANDARD_WEBHOOKS).unwrap();
    assert_eq!(file["tolerance_s"].as_u64(), Some(standard_webhooks::TOLERANCE_MS / 1_000));
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let key = standard_webhooks::Key::parse(&text(&vector["secret"])).unwrap();
        signs_and_verifies(vector, &key, &key);
    }
}

#[test]
fn standard_webhooks_ed25519_signatures() {
    let file: Value = serde_json::from_str(STANDARD_WEBHOOKS_ED25519).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let key = standard_webhooks::Key::parse(&text(&vector["secret"])).unwrap();
        assert_eq!(key.public_key(), vector["public_key"].as_str().map(str::to_owned));
        let public_key = standard_webhooks::Key::parse(&text(&vector["public_key"])).unwrap();
        signs_and_verifies(vector, &key, &key);
        signs_and_verifies(vector, &key, &public_key);
    }
}

fn signs_and_verifies(vector: &Value, key: &standard_webhooks::Key, verifier: &standard_webhooks::Key) {
    let id = text(&vector["id"]);
    let (webhook_id, timestamp) = (text(&vector["webhook_id"]), text(&vector["timestamp"]));
    let (body, signature) = (text(&vector["body"]), text(&vector["expected_signature"]));
    let message =
        standard_webhooks::Message { id: &webhook_id, timestamp: &timestamp, body: body.as_bytes() };
    assert_eq!(standard_webhooks::sign(key, &message), Ok(signature.clone()), "{id}");

    let headers = [
        ("Webhook-Id".to_owned(), webhook_id.clone()),
        ("Webhook-Timestamp".to_owned(), timestamp.clone()),
        ("Webhook-Signature".to_owned(), signature),
    ];
    let received = Received { method: "POST", uri: "", headers: &headers, body: body.as_bytes() };
    let now = UnixMs(timestamp.parse::<u64>().unwrap() * 1_000);
    assert_eq!(standard_webhooks::verify(&[verifier], &received, now), Ok(()), "{id}");
    let received = Received { body: b"{}", ..received };
    let refused = Err(VerifyError::WrongSignature { header: standard_webhooks::SIGNATURE_HEADER });
    assert_eq!(standard_webhooks::verify(&[verifier], &received, now), refused, "{id}");
}
