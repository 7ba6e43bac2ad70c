//! Whether a request is from whom it should be: a token, one of HubSpot's signatures, Standard Webhooks,
//! or an HMAC in a header, as GitHub (`sha256=` and hex) and Shopify (base64) send it.

mod hmac;

use std::borrow::Cow;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::expr::MAX_NAME;
use crate::json::{Fields, Node};
use crate::secret::{Secret, SecretInForce};
use crate::signature::{Received, VerifyError, hubspot, standard_webhooks};
use crate::slug::Slug;
use crate::time::UnixMs;

use self::hmac::Scheme;
pub use self::hmac::{Algorithm, Encoding};

/// Longest text before a signature; `sha256=` has 7 characters.
const MAX_PREFIX: usize = 32;

/// Longest name of a header, in bytes, as for headers that Varde sends.
const MAX_HEADER_NAME: usize = 128;

/// What a request must prove. Each type but `none` names the secret that it is proved by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Verify {
    /// Nothing: whoever knows the URL may call.
    None,
    /// The secret's value, as it is, in a header or a query parameter. In `authorization` a `Bearer ` may
    /// stand before it.
    Token {
        /// Where it stands.
        location: TokenPlace,
        /// Name of the header, in lower case, or of the parameter.
        name: String,
        /// The secret.
        secret: Slug,
    },
    /// HubSpot's signature v1.
    HubspotV1 {
        /// The secret of the app.
        secret: Slug,
    },
    /// HubSpot's signature v2.
    HubspotV2 {
        /// The secret of the app.
        secret: Slug,
    },
    /// HubSpot's signature v3, at most five minutes old.
    HubspotV3 {
        /// The secret of the app.
        secret: Slug,
    },
    /// Standard Webhooks, within five minutes.
    StandardWebhooks {
        /// A secret `whsec_…`.
        secret: Slug,
    },
    /// An HMAC over the body.
    Hmac {
        /// The secret; its bytes as text are the key.
        secret: Slug,
        /// The header that holds it, in lower case.
        header: String,
        /// The hash.
        algorithm: Algorithm,
        /// How the bytes are written.
        encoding: Encoding,
        /// What stands before them.
        prefix: String,
    },
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// In a header.
    Header,
    /// In a query parameter.
    Query,
}

/// Why a request isn't accepted. Its text goes to the trigger's owner, and holds nothing that was sent but
/// what the scheme names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// HubSpot's or Standard Webhooks' check failed.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// No token.
    #[error("{place} `{name}` is missing; it holds the token")]
    MissingToken {
        /// `header` or `query parameter`.
        place: &'static str,
        /// Its name.
        name: String,
    },
    /// Another token.
    #[error("the token in {place} `{name}` is another one")]
    WrongToken {
        /// `header` or `query parameter`.
        place: &'static str,
        /// Its name.
        name: String,
    },
    /// No HMAC.
    #[error("header `{header}` is missing; it holds the signature")]
    MissingHmac {
        /// Its name.
        header: String,
    },
    /// No HMAC in this form.
    #[error("header `{header}` can't be read: expected {expected}")]
    UnreadableHmac {
        /// Its name.
        header: String,
        /// What should be there.
        expected: String,
    },
    /// Another HMAC.
    #[error("the signature in `{header}` doesn't match: another secret, or the body was changed on its way")]
    WrongHmac {
        /// The header.
        header: String,
    },
    /// The secret can't be what the scheme needs. Ours to mend, not the sender's.
    #[error("secret `{secret}` can't be a key for Standard Webhooks: {reason}")]
    UnfitSecret {
        /// Its name.
        secret: Slug,
        /// Why not.
        reason: standard_webhooks::InvalidKey,
    },
    /// The secret isn't there. Ours to mend, not the sender's.
    #[error("there is no secret `{secret}`")]
    NoSecret {
        /// Its name.
        secret: Slug,
    },
}

impl Unverified {
    /// A stable slug for the list of events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Signature(error) => error.code(),
            Self::MissingToken { .. } => "missing_token",
            Self::WrongToken { .. } => "wrong_token",
            Self::MissingHmac { .. } => "missing_header",
            Self::UnreadableHmac { .. } => "unreadable_header",
            Self::WrongHmac { .. } => "wrong_signature",
            Self::UnfitSecret { .. } => "unfit_secret",
            Self::NoSecret { .. } => "missing_secret",
        }
    }

    /// Whether the fault is in what we hold, so that the sender had better come again.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::UnfitSecret { .. } | Self::NoSecret { .. })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Token,
    HubspotV1,
    HubspotV2,
    HubspotV3,
    StandardWebhooks,
    Hmac,
}

impl Verify {
    /// Reads `{"type", …}`.
    pub fn read(node: Node<'_>) -> Option<Self> {
        let kind = node.tag(
            "type",
            &[
                ("none", Kind::None),
                ("token", Kind::Token),
                ("hubspot_v1", Kind::HubspotV1),
                ("hubspot_v2", Kind::HubspotV2),
                ("hubspot_v3", Kind::HubspotV3),
                ("standard_webhooks", Kind::StandardWebhooks),
                ("hmac", Kind::Hmac),
            ],
        )?;
        match kind {
            Kind::None => node.fields(&["type"]).map(|_| Self::None),
            Kind::Token => read_token(node.fields(&["type", "location", "name", "secret"])?),
            Kind::Hmac => {
                read_hmac(node.fields(&["type", "secret", "header", "algorithm", "encoding", "prefix"])?)
            }
            keyed => {
                let secret = read_secret(node.fields(&["type", "secret"])?)?;
                Some(match keyed {
                    Kind::HubspotV1 => Self::HubspotV1 { secret },
                    Kind::HubspotV2 => Self::HubspotV2 { secret },
                    Kind::HubspotV3 => Self::HubspotV3 { secret },
                    _ => Self::StandardWebhooks { secret },
                })
            }
        }
    }

    /// The secret that it needs.
    #[must_use]
    pub const fn secret(&self) -> Option<&Slug> {
        match self {
            Self::None => None,
            Self::Token { secret, .. }
            | Self::HubspotV1 { secret }
            | Self::HubspotV2 { secret }
            | Self::HubspotV3 { secret }
            | Self::StandardWebhooks { secret }
            | Self::Hmac { secret, .. } => Some(secret),
        }
    }

    /// The header that holds a token, which nobody may see later.
    #[must_use]
    pub fn token_header(&self) -> Option<&str> {
        match self {
            Self::Token { location: TokenPlace::Header, name, .. } => Some(name),
            _ => None,
        }
    }

    /// Checks a request. During a rotation both values of the secret count; all comparisons take the same
    /// time whatever they find.
    ///
    /// # Errors
    ///
    /// [`Unverified`], with the first thing that is wrong.
    pub fn check(
        &self,
        secret: Option<SecretInForce<'_>>,
        received: &Received<'_>,
        now: UnixMs,
    ) -> Result<(), Unverified> {
        let Some(name) = self.secret() else { return Ok(()) };
        let secret = secret.ok_or_else(|| Unverified::NoSecret { secret: name.clone() })?;
        let values: Vec<&str> =
            core::iter::once(secret.current).chain(secret.previous).map(Secret::expose).collect();
        let keys: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        match self {
            Self::None => Ok(()),
            Self::Token { location, name, .. } => check_token(*location, name, &values, received),
            Self::HubspotV1 { .. } => Ok(hubspot::verify(hubspot::Version::V1, &keys, received, now)?),
            Self::HubspotV2 { .. } => Ok(hubspot::verify(hubspot::Version::V2, &keys, received, now)?),
            Self::HubspotV3 { .. } => Ok(hubspot::verify(hubspot::Version::V3, &keys, received, now)?),
            Self::StandardWebhooks { secret } => check_standard_webhooks(secret, &values, received, now),
            Self::Hmac { header, algorithm, encoding, prefix, .. } => {
                Scheme { header, algorithm: *algorithm, encoding: *encoding, prefix }.check(&keys, received)
            }
        }
    }
}

fn read_secret(fields: Fields<'_>) -> Option<Slug> {
    fields.need("secret", |node| node.parse())
}

fn read_token(fields: Fields<'_>) -> Option<Verify> {
    let location = fields
        .need("location", |node| node.word(&[("header", TokenPlace::Header), ("query", TokenPlace::Query)]));
    let name = fields.need("name", |node| match location {
        Some(TokenPlace::Header) => read_header(node),
        Some(TokenPlace::Query) | None => node.text(1..=MAX_NAME).map(str::to_owned),
    });
    let secret = read_secret(fields);
    Some(Verify::Token { location: location?, name: name?, secret: secret? })
}

fn read_hmac(fields: Fields<'_>) -> Option<Verify> {
    let secret = read_secret(fields);
    let header = fields.need("header", read_header);
    let algorithm = fields.or("algorithm", Algorithm::Sha256, |node| {
        node.word(&[("sha1", Algorithm::Sha1), ("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)])
    });
    let encoding = fields.or("encoding", Encoding::Hex, |node| {
        node.word(&[("hex", Encoding::Hex), ("base64", Encoding::Base64)])
    });
    let prefix = fields.or("prefix", String::new(), |node| node.text(0..=MAX_PREFIX).map(str::to_owned));
    Some(Verify::Hmac {
        secret: secret?,
        header: header?,
        algorithm: algorithm?,
        encoding: encoding?,
        prefix: prefix?,
    })
}

/// The name of a header that somebody else sends, so any token (RFC 9110, section 5.6.2).
fn read_header(node: Node<'_>) -> Option<String> {
    let name = node.text(1..=MAX_HEADER_NAME)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        node.mistake("expected the name of a header: letters, digits and any of !#$%&'*+-.^_`|~");
        return None;
    }
    Some(name.to_ascii_lowercase())
}

fn check_token(
    location: TokenPlace,
    name: &str,
    values: &[&str],
    received: &Received<'_>,
) -> Result<(), Unverified> {
    let (place, found) = match location {
        TokenPlace::Header => ("header", received.header(name).map(Cow::Borrowed)),
        TokenPlace::Query => ("query parameter", query_value(received.uri, name)),
    };
    let found = found.ok_or_else(|| Unverified::MissingToken { place, name: name.to_owned() })?;
    let bare = match found.split_once(' ') {
        Some((scheme, rest)) if name == "authorization" && scheme.eq_ignore_ascii_case("bearer") => {
            rest.trim_start()
        }
        _ => &found,
    };
    // Hashes have one length, so that the time doesn't tell the value's.
    let (found, bare) = (Sha256::digest(found.as_bytes()), Sha256::digest(bare.as_bytes()));
    let matches = values.iter().fold(false, |matches, value| {
        let expected = Sha256::digest(value.as_bytes());
        matches | bool::from(found.ct_eq(&expected) | bare.ct_eq(&expected))
    });
    if matches { Ok(()) } else { Err(Unverified::WrongToken { place, name: name.to_owned() }) }
}

fn query_value<'u>(uri: &'u str, name: &str) -> Option<Cow<'u, str>> {
    let query = uri.split_once('?')?.1;
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

fn check_standard_webhooks(
    name: &Slug,
    values: &[&str],
    received: &Received<'_>,
    now: UnixMs,
) -> Result<(), Unverified> {
    let keys: Vec<_> = values.iter().map(|value| standard_webhooks::Key::parse(value)).collect();
    if let Some(Err(reason)) = keys.first() {
        return Err(Unverified::UnfitSecret { secret: name.clone(), reason: *reason });
    }
    // A former value that is no key is no reason to refuse what the current one signed.
    let keys: Vec<_> = keys.iter().flatten().collect();
    Ok(standard_webhooks::verify(&keys, received, now)?)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::Mistakes;

    const NOW: UnixMs = UnixMs(1_700_000_000_000);
    const URI: &str = "https://varde.example/t/0123?key=a%20b&key=second&x#key=c";
    const BODY: &[u8] = b"{\"order\":1}";

    fn read(value: &Value) -> Result<Verify, Vec<String>> {
        let mistakes = Mistakes::default();
        let verify = Verify::read(Node::root(value, &mistakes));
        mistakes.conclude(verify).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    fn secret(value: &str) -> Secret {
        Secret::new(value).unwrap()
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Checks with the current and the previous value.
    fn check(
        verify: &Value,
        values: (&str, Option<&str>),
        sent: &[(&str, &str)],
    ) -> Result<(), &'static str> {
        let (current, previous) = (secret(values.0), values.1.map(secret));
        let in_force = SecretInForce { current: &current, previous: previous.as_ref(), hosts: &[] };
        let headers = headers(sent);
        let received = Received { method: "POST", uri: URI, headers: &headers, body: BODY };
        read(verify).unwrap().check(Some(in_force), &received, NOW).map_err(|error| error.code())
    }

    #[test]
    fn verify_format_unchanged() {
        for text in [
            r#"{"type":"none"}"#,
            r#"{"type":"token","location":"header","name":"x-key","secret":"s"}"#,
            r#"{"type":"token","location":"query","name":"Key No 1","secret":"s"}"#,
            r#"{"type":"hubspot_v1","secret":"s"}"#,
            r#"{"type":"hubspot_v2","secret":"s"}"#,
            r#"{"type":"hubspot_v3","secret":"s"}"#,
            r#"{"type":"standard_webhooks","secret":"s"}"#,
            r#"{"type":"hmac","secret":"s","header":"x-hub-signature-256","algorithm":"sha256","encoding":"hex","prefix":"sha256="}"#,
            r#"{"type":"hmac","secret":"s","header":"h","algorithm":"sha1","encoding":"base64","prefix":""}"#,
            r#"{"type":"hmac","secret":"s","header":"h","algorithm":"sha512","encoding":"base64","prefix":""}"#,
        ] {
            let verify = read(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&verify).unwrap(), text);
            assert_eq!(verify.secret().is_none(), verify == Verify::None);
        }
    }

    #[test]
    fn fills_in_defaults_and_lowers_headers() {
        let verify = read(&json!({"type": "hmac", "secret": "s", "header": "X-Signature"})).unwrap();
        let expected = json!({"type": "hmac", "secret": "s", "header": "x-signature", "algorithm": "sha256", "encoding": "hex", "prefix": ""});
        assert_eq!(serde_json::to_value(&verify).unwrap(), expected);
        let token =
            read(&json!({"type": "token", "location": "header", "name": "X-Key", "secret": "s"})).unwrap();
        assert_eq!(token.token_header(), Some("x-key"));
        assert_eq!(verify.token_header(), None);
    }

    #[test]
    fn says_what_is_wrong_with_a_configuration() {
        for (value, mistakes) in [
            (json!({}), vec!["/type: is required"]),
            (json!("none"), vec![": expected an object, found a string"]),
            (json!({"type": "none", "secret": "s"}), vec!["/secret: unknown field; known are `type`"]),
            (json!({"type": "hubspot_v3"}), vec!["/secret: is required"]),
            (
                json!({"type": "token", "location": "body"}),
                vec![
                    "/location: expected `header` or `query`, found \"body\"",
                    "/name: is required",
                    "/secret: is required",
                ],
            ),
            (
                json!({"type": "token", "location": "header", "name": "x key", "secret": "s"}),
                vec!["/name: expected the name of a header: letters, digits and any of !#$%&'*+-.^_`|~"],
            ),
            (
                json!({"type": "hmac", "secret": "s", "header": "", "algorithm": "md5", "encoding": "raw", "prefix": "x".repeat(33)}),
                vec![
                    "/header: expected 1 to 128 characters, found 0",
                    "/algorithm: expected `sha1`, `sha256` or `sha512`, found \"md5\"",
                    "/encoding: expected `hex` or `base64`, found \"raw\"",
                    "/prefix: expected 0 to 32 characters, found 33",
                ],
            ),
        ] {
            assert_eq!(read(&value), Err(mistakes.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn a_token_is_the_value_as_it_is() {
        let header = json!({"type": "token", "location": "header", "name": "X-Key", "secret": "s"});
        let both = ("new-value", Some("old-value"));
        for (sent, expected) in [
            (&[("X-KEY", "new-value")][..], Ok(())),
            (&[("x-key", "old-value")], Ok(())),
            (&[("x-key", "older-value")], Err("wrong_token")),
            (&[("x-key", "new-valu")], Err("wrong_token")),
            (&[("x-key", "Bearer new-value")], Err("wrong_token")),
            (&[("x-key", "")], Err("wrong_token")),
            (&[("x-other", "new-value")], Err("missing_token")),
        ] {
            assert_eq!(check(&header, both, sent), expected, "{sent:?}");
        }
        assert_eq!(check(&header, ("new-value", None), &[("x-key", "old-value")]), Err("wrong_token"));

        let authorization =
            json!({"type": "token", "location": "header", "name": "Authorization", "secret": "s"});
        for (stored, sent, expected) in [
            ("abc", "Bearer abc", Ok(())),
            ("abc", "bearer  abc", Ok(())),
            ("Bearer abc", "Bearer abc", Ok(())),
            ("abc", "abc", Ok(())),
            ("abc", "Basic abc", Err("wrong_token")),
            ("Bearer abc", "abc", Err("wrong_token")),
        ] {
            let sent = [("authorization", sent)];
            assert_eq!(check(&authorization, (stored, None), &sent), expected, "{stored} {sent:?}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_decoded_and_the_first_of_its_name() {
        let query = |name: &str| json!({"type": "token", "location": "query", "name": name, "secret": "s"});
        assert_eq!(check(&query("key"), ("a b", None), &[]), Ok(()));
        for wrong in ["second", "c", "a%20b"] {
            assert_eq!(check(&query("key"), (wrong, None), &[]), Err("wrong_token"));
        }
        assert_eq!(check(&query("Key"), ("a b", None), &[]), Err("missing_token"));
        assert_eq!(query_value("https://varde.example/t/0", "key"), None);
    }

    #[test]
    fn an_hmac_has_one_form() {
        let mac = Algorithm::Sha256.mac(b"key-1", BODY);
        let hexed = hex::encode(&mac);
        let github =
            json!({"type": "hmac", "secret": "s", "header": "x-hub-signature-256", "prefix": "sha256="});
        for (sent, expected) in [
            (format!("sha256={hexed}"), Ok(())),
            (format!("sha256={}", hexed.to_uppercase()), Ok(())),
            (hexed.clone(), Err("unreadable_header")),
            (format!("sha1={hexed}"), Err("unreadable_header")),
            (format!("sha256={}", &hexed[2..]), Err("unreadable_header")),
            (format!("sha256={}", STANDARD.encode(&mac)), Err("unreadable_header")),
            (format!("sha256=00{}", &hexed[2..]), Err("wrong_signature")),
        ] {
            let sent = [("X-Hub-Signature-256", sent.as_str())];
            assert_eq!(check(&github, ("key-2", Some("key-1")), &sent), expected, "{sent:?}");
        }
        assert_eq!(check(&github, ("key-1", None), &[]), Err("missing_header"));
        let shopify =
            json!({"type": "hmac", "secret": "s", "header": "X-Shopify-Hmac-Sha256", "encoding": "base64"});
        let encoded = STANDARD.encode(&mac);
        assert_eq!(check(&shopify, ("key-1", None), &[("x-shopify-hmac-sha256", &encoded)]), Ok(()));
        assert_eq!(
            check(&shopify, ("key-1", None), &[("x-shopify-hmac-sha256", &hexed)]),
            Err("unreadable_header")
        );
    }

    #[test]
    fn the_schemes_get_both_secrets_the_url_and_the_time() {
        let now = NOW.0.to_string();
        for version in [hubspot::Version::V1, hubspot::Version::V2, hubspot::Version::V3] {
            let message = hubspot::Message { method: "POST", uri: URI, body: BODY, timestamp: &now };
            let signature = hubspot::sign(version, b"app-secret", &message);
            let verify = json!({"type": format!("hubspot_{}", version.as_str()), "secret": "s"});
            let sent = [(version.header(), signature.as_str()), (hubspot::TIMESTAMP_HEADER, now.as_str())];
            assert_eq!(check(&verify, ("app-secret", None), &sent), Ok(()));
            assert_eq!(check(&verify, ("next-secret", Some("app-secret")), &sent), Ok(()));
            assert_eq!(check(&verify, ("next-secret", None), &sent), Err("wrong_signature"));
        }
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let message = |timestamp| standard_webhooks::Message { id: "msg_1", timestamp, body: BODY };
        let signed = |timestamp| {
            standard_webhooks::sign(&standard_webhooks::Key::parse(key).unwrap(), &message(timestamp))
                .unwrap()
        };
        let verify = json!({"type": "standard_webhooks", "secret": "s"});
        for (timestamp, expected) in [
            ("1700000000", Ok(())),
            ("1699999700", Ok(())),
            ("1699999699", Err("stale")),
            ("1700000301", Err("ahead")),
        ] {
            let signature = signed(timestamp);
            let sent = [
                ("webhook-id", "msg_1"),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", &signature),
            ];
            assert_eq!(check(&verify, (key, None), &sent), expected, "{timestamp}");
            let rotated = ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", Some(key));
            assert_eq!(check(&verify, rotated, &sent), expected, "{timestamp}");
            assert_eq!(check(&verify, (key, Some("no-key")), &sent), expected, "{timestamp}");
        }
        assert_eq!(check(&verify, ("no-key", Some(key)), &[]), Err("unfit_secret"));
    }

    #[test]
    fn without_its_secret_nothing_passes() {
        let verify = read(&json!({"type": "hubspot_v1", "secret": "app"})).unwrap();
        let received = Received { method: "POST", uri: URI, headers: &[], body: BODY };
        let error = verify.check(None, &received, NOW).unwrap_err();
        assert_eq!((error.code(), error.is_ours()), ("missing_secret", true));
        assert_eq!(Verify::None.check(None, &received, NOW), Ok(()));
        assert!(!Unverified::MissingHmac { header: "h".to_owned() }.is_ours());
    }

    proptest! {
        #[test]
        fn any_request_is_checked(value in ".{0,80}", body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let key = secret("key-1");
            let in_force = SecretInForce { current: &key, previous: None, hosts: &[] };
            for verify in [
                json!({"type": "token", "location": "header", "name": "h", "secret": "s"}),
                json!({"type": "token", "location": "query", "name": "h", "secret": "s"}),
                json!({"type": "hmac", "secret": "s", "header": "h", "prefix": "v="}),
                json!({"type": "hmac", "secret": "s", "header": "h", "encoding": "base64"}),
                json!({"type": "hubspot_v3", "secret": "s"}),
            ] {
                let headers = headers(&[("h", &value)]);
                let received = Received { method: "POST", uri: &value, headers: &headers, body: &body };
                prop_assert!(read(&verify).unwrap().check(Some(in_force), &received, NOW).is_err());
            }
        }
    }
}
