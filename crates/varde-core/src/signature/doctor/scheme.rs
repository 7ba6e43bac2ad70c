//! The schemes that the doctor knows, and what headers say about them.

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::signature::{Digest, Received, VerifyError, digest_from_base64, digest_from_hex, same};
use crate::signature::{hubspot, standard_webhooks};
use crate::time::UnixMs;

/// A signature over the body by GitHub's webhooks.
const GITHUB_HEADER: &str = "x-hub-signature-256";
/// A signature over the body by Shopify's webhooks.
const SHOPIFY_HEADER: &str = "x-shopify-hmac-sha256";

/// A way to sign requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HubSpot's v3: HMAC over method, URL, body and timestamp.
    HubspotV3,
    /// HubSpot's v2: a plain hash of secret, method, URL and body.
    HubspotV2,
    /// HubSpot's v1: a plain hash of secret and body.
    HubspotV1,
    /// Standard Webhooks with a `whsec_…` secret: HMAC over id, timestamp and body.
    StandardWebhooks,
    /// GitHub's `X-Hub-Signature-256`: HMAC over the body, in hex.
    Github,
    /// Shopify's `X-Shopify-Hmac-Sha256`: HMAC over the body, in base64.
    Shopify,
}

impl Scheme {
    /// All of them, the ones that are met together in the order of their strength.
    pub const ALL: &[Self] = &[
        Self::HubspotV3,
        Self::HubspotV2,
        Self::HubspotV1,
        Self::StandardWebhooks,
        Self::Github,
        Self::Shopify,
    ];

    /// Their words in JSON.
    pub(super) const WORDS: [(&'static str, Self); 6] = [
        ("hubspot_v3", Self::HubspotV3),
        ("hubspot_v2", Self::HubspotV2),
        ("hubspot_v1", Self::HubspotV1),
        ("standard_webhooks", Self::StandardWebhooks),
        ("github", Self::Github),
        ("shopify", Self::Shopify),
    ];

    /// The header that holds the signature, in lower case.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::HubspotV3 => hubspot::V3_SIGNATURE_HEADER,
            Self::HubspotV2 | Self::HubspotV1 => hubspot::SIGNATURE_HEADER,
            Self::StandardWebhooks => standard_webhooks::SIGNATURE_HEADER,
            Self::Github => GITHUB_HEADER,
            Self::Shopify => SHOPIFY_HEADER,
        }
    }

    /// The header that holds the time of signing, for schemes that sign one.
    #[must_use]
    pub const fn timestamp_header(self) -> Option<&'static str> {
        match self {
            Self::HubspotV3 => Some(hubspot::TIMESTAMP_HEADER),
            Self::StandardWebhooks => Some(standard_webhooks::TIMESTAMP_HEADER),
            _ => None,
        }
    }
}

/// A signature that a request carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// The scheme that the header belongs to.
    pub scheme: Scheme,
    /// The header's name in lower case.
    pub header: &'static str,
    /// The header's value, as it is.
    pub signature: String,
}

/// The signatures that a request carries, by its headers alone. HubSpot's v1 and v2 share a header; where
/// no other header tells which of them it is, both are listed.
#[must_use]
pub fn announced(received: &Received<'_>) -> Vec<Announced> {
    let version = received.header(hubspot::VERSION_HEADER).map(|text| text.trim().to_ascii_lowercase());
    let version_fits = |scheme| {
        let other = (scheme, version.as_deref());
        !matches!(other, (Scheme::HubspotV1, Some("v2")) | (Scheme::HubspotV2, Some("v1")))
    };
    Scheme::ALL
        .iter()
        .filter(|&&scheme| version_fits(scheme))
        .filter_map(|&scheme| {
            let signature = received.header(scheme.header())?.to_owned();
            Some(Announced { scheme, header: scheme.header(), signature })
        })
        .collect()
}

/// The scheme that a bare signature most likely belongs to, by how it is written and by the other headers.
pub(super) fn guess(signature: &str, received: &Received<'_>) -> Scheme {
    let text = signature.trim().to_ascii_lowercase();
    if text.starts_with("v1,") {
        return Scheme::StandardWebhooks;
    }
    if text.starts_with("sha256=") {
        return Scheme::Github;
    }
    if received.header(standard_webhooks::ID_HEADER).is_some()
        && received.header(hubspot::TIMESTAMP_HEADER).is_none()
    {
        return Scheme::StandardWebhooks;
    }
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex && received.header(hubspot::TIMESTAMP_HEADER).is_none() {
        return match received.header(hubspot::VERSION_HEADER) {
            Some("v1") => Scheme::HubspotV1,
            _ => Scheme::HubspotV2,
        };
    }
    Scheme::HubspotV3
}

/// Why a request isn't accepted: its signature, or the secret itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no secret was given")]
    NoSecret,
    #[error("the secret can't be used: {0}")]
    Secret(#[from] standard_webhooks::InvalidKey),
    #[error(transparent)]
    Signature(#[from] VerifyError),
}

impl Refusal {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::Secret(error) => error.code(),
            Self::Signature(error) => error.code(),
        }
    }
}

/// Checks a request by one scheme, as a receiver does. Without `now` its age isn't looked at.
pub(super) fn verify(
    scheme: Scheme,
    secret: Option<&str>,
    received: &Received<'_>,
    now: Option<UnixMs>,
) -> Result<(), Refusal> {
    let secret = secret.ok_or(Refusal::NoSecret)?;
    // A request is as old as it wants to be where nobody asks.
    let now = now.unwrap_or_else(|| claimed(scheme, received));
    match scheme {
        Scheme::HubspotV1 | Scheme::HubspotV2 | Scheme::HubspotV3 => {
            let version = match scheme {
                Scheme::HubspotV1 => hubspot::Version::V1,
                Scheme::HubspotV2 => hubspot::Version::V2,
                _ => hubspot::Version::V3,
            };
            hubspot::verify(version, &[secret.as_bytes()], received, now)?;
        }
        Scheme::StandardWebhooks => {
            let key = standard_webhooks::Key::parse(secret)?;
            standard_webhooks::verify(&[&key], received, now)?;
        }
        Scheme::Github | Scheme::Shopify => verify_body(scheme, secret, received)?,
    }
    Ok(())
}

fn claimed(scheme: Scheme, received: &Received<'_>) -> UnixMs {
    let text = scheme.timestamp_header().and_then(|name| received.header(name)).unwrap_or_default();
    let number = crate::signature::integer(text).unwrap_or_default();
    match scheme {
        Scheme::StandardWebhooks => UnixMs(number.saturating_mul(crate::time::SECOND_MS)),
        _ => UnixMs(number),
    }
}

fn verify_body(scheme: Scheme, secret: &str, received: &Received<'_>) -> Result<(), VerifyError> {
    let header = scheme.header();
    let text = received.required(header)?;
    let (given, expected) = match scheme {
        Scheme::Github => {
            (text.strip_prefix("sha256=").and_then(digest_from_hex), "`sha256=` and 64 hexadecimal digits")
        }
        _ => (digest_from_base64(text), "base64 of 32 bytes"),
    };
    let given = given.ok_or(VerifyError::UnreadableHeader { header, expected })?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("invariant: HMAC takes any length");
    mac.update(received.body);
    let made: Digest = mac.finalize().into_bytes().into();
    if same(&made, &given) { Ok(()) } else { Err(VerifyError::WrongSignature { header }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn received(headers: &[(String, String)]) -> Received<'_> {
        Received { method: "POST", uri: "https://a.example/", headers, body: b"Hello, World!" }
    }

    #[test]
    fn scheme_format_unchanged() {
        let words = serde_json::to_string(Scheme::ALL).unwrap();
        let expected = r#"["hubspot_v3","hubspot_v2","hubspot_v1","standard_webhooks","github","shopify"]"#;
        assert_eq!(words, expected);
        assert_eq!(serde_json::from_str::<Vec<Scheme>>(expected).unwrap(), Scheme::ALL);
        assert_eq!(format!("{:?}", Scheme::WORDS.map(|(word, _)| word)).replace(' ', ""), expected);
    }

    #[test]
    fn headers_say_which() {
        use Scheme::{Github, HubspotV1, HubspotV2, HubspotV3, Shopify, StandardWebhooks};
        let cases: [(Headers, &[Scheme]); 6] = [
            (&[], &[]),
            (&[("X-HubSpot-Signature", "x")], &[HubspotV2, HubspotV1]),
            (&[("X-HubSpot-Signature", "x"), ("X-HubSpot-Signature-Version", "V1")], &[HubspotV1]),
            (
                &[
                    ("X-HubSpot-Signature", "x"),
                    ("X-HubSpot-Signature-Version", "v2"),
                    ("X-HubSpot-Signature-v3", "y"),
                ],
                &[HubspotV3, HubspotV2],
            ),
            (&[("webhook-signature", "v1,x")], &[StandardWebhooks]),
            (&[("X-Hub-Signature-256", "x"), ("X-Shopify-Hmac-Sha256", "y")], &[Github, Shopify]),
        ];
        for (list, expected) in cases {
            let headers = headers(list);
            let found: Vec<Scheme> = announced(&received(&headers)).iter().map(|it| it.scheme).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn bare_signatures_are_guessed() {
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let cases: [(&str, Headers, Scheme); 7] = [
            ("v1,abc", &[], Scheme::StandardWebhooks),
            ("sha256=abc", &[], Scheme::Github),
            (hex, &[], Scheme::HubspotV2),
            (hex, &[("x-hubspot-signature-version", "v1")], Scheme::HubspotV1),
            (hex, &[("x-hubspot-request-timestamp", "1")], Scheme::HubspotV3),
            ("abc=", &[("webhook-id", "msg")], Scheme::StandardWebhooks),
            ("abc=", &[], Scheme::HubspotV3),
        ];
        for (signature, list, expected) in cases {
            let headers = headers(list);
            assert_eq!(guess(signature, &received(&headers)), expected, "{signature}");
        }
    }

    /// GitHub's published example, and the same digest as Shopify writes it.
    #[test]
    fn body_signatures() {
        let secret = "It's a Secret to Everybody";
        let github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let shopify = "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=";
        for (scheme, signature) in [(Scheme::Github, github), (Scheme::Shopify, shopify)] {
            let check = |secret: &str, signature: &str| {
                let headers = headers(&[(scheme.header(), signature)]);
                verify(scheme, Some(secret), &received(&headers), None).map_err(|refusal| refusal.code())
            };
            assert_eq!(check(secret, signature), Ok(()), "{scheme:?}");
            assert_eq!(check("another", signature), Err("wrong_signature"));
            assert_eq!(check(secret, "sha256=00"), Err("unreadable_header"));
            let none = verify(scheme, Some(secret), &received(&[]), None).unwrap_err();
            assert_eq!(none.code(), "missing_header");
            assert_eq!(verify(scheme, None, &received(&[]), None).unwrap_err().code(), "no_secret");
        }
    }
}
