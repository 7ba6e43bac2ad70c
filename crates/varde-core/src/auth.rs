//! How a request proves where it comes from; applied anew on every attempt.
//!
//! A rendered [`Request`] is the same on every attempt. [`apply`] adds what isn't: the stamp
//! (`webhook-id`, `webhook-timestamp`, `varde-attempt`) and the authentication, with the secret as it is
//! at that moment. Out of scope: reading the secret, and fetching.

use core::fmt;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::ids::DeliveryId;
use crate::oauth2::{ClientCredentials, Token};
use crate::request::{Method, Request};
use crate::secret::{Secret, SecretInForce};
use crate::signature::{hubspot, standard_webhooks};
use crate::slug::Slug;
use crate::time::UnixMs;

/// Number of the attempt, from 1.
pub const ATTEMPT_HEADER: &str = "varde-attempt";

/// All but the unreserved characters of RFC 3986, so that no parser changes what was signed.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The authentication of one action. It names its secret; the value comes in at [`apply`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "Stored")]
pub enum Auth {
    /// Nothing is added.
    #[default]
    None,
    /// `X-HubSpot-Signature` (v1 or v2) and `X-HubSpot-Signature-v3`.
    HubspotSignature {
        /// Name of the app's client secret.
        secret: Slug,
        /// Which versions are sent; v1 and v2 share headers, so one of them at most.
        versions: Vec<HubspotVersion>,
    },
    /// `webhook-signature`, one per secret in force.
    StandardWebhooks {
        /// Name of a `whsec_…` or `whsk_…` secret.
        secret: Slug,
    },
    /// The stored value as it is, in a header or a query parameter.
    ApiKey {
        /// Where it goes.
        location: KeyLocation,
        /// Header or parameter name.
        name: String,
        /// Name of the secret.
        secret: Slug,
    },
    /// `Authorization: Bearer <value>`.
    Bearer {
        /// Name of the secret.
        secret: Slug,
    },
    /// `Authorization: Basic base64(username:value)`.
    Basic {
        /// User name; holds no colon.
        username: String,
        /// Name of the secret that is the password.
        secret: Slug,
    },
    /// `Authorization: Bearer <token>`, with a token that the secret was exchanged for.
    Oauth2ClientCredentials(Box<ClientCredentials>),
}

/// A version of HubSpot's request signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants are HubSpot's own words")]
pub enum HubspotVersion {
    V1,
    V2,
    V3,
}

/// Where an API key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeyLocation {
    /// A request header.
    Header,
    /// A parameter appended to the URL's query.
    Query,
}

/// An [`Auth`] as it is stored, of whatever type. What serde makes of a tagged enum keeps all fields aside until it
/// knows the tag, and is a dozen times as much code.
#[derive(Deserialize)]
struct Stored {
    r#type: Type,
    secret: Option<Slug>,
    versions: Option<Vec<HubspotVersion>>,
    location: Option<KeyLocation>,
    name: Option<String>,
    username: Option<String>,
    token_url: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    None,
    HubspotSignature,
    StandardWebhooks,
    ApiKey,
    Bearer,
    Basic,
    Oauth2ClientCredentials,
}

/// A field that its type needs isn't there.
#[derive(Debug, thiserror::Error)]
#[error("missing field `{0}`")]
struct Missing(&'static str);

impl TryFrom<Stored> for Auth {
    type Error = Missing;

    fn try_from(stored: Stored) -> Result<Self, Missing> {
        let Stored { r#type, secret, versions, location, name, username, token_url, client_id, scope } =
            stored;
        let secret = || secret.ok_or(Missing("secret"));
        Ok(match r#type {
            Type::None => Self::None,
            Type::HubspotSignature => {
                Self::HubspotSignature { secret: secret()?, versions: versions.ok_or(Missing("versions"))? }
            }
            Type::StandardWebhooks => Self::StandardWebhooks { secret: secret()? },
            Type::ApiKey => Self::ApiKey {
                location: location.ok_or(Missing("location"))?,
                name: name.ok_or(Missing("name"))?,
                secret: secret()?,
            },
            Type::Bearer => Self::Bearer { secret: secret()? },
            Type::Basic => Self::Basic { username: username.ok_or(Missing("username"))?, secret: secret()? },
            Type::Oauth2ClientCredentials => Self::Oauth2ClientCredentials(Box::new(ClientCredentials {
                token_url: token_url.ok_or(Missing("token_url"))?,
                client_id: client_id.ok_or(Missing("client_id"))?,
                secret: secret()?,
                scope,
            })),
        })
    }
}

impl Auth {
    /// The secret that it needs, if any.
    #[must_use]
    pub fn secret(&self) -> Option<&Slug> {
        match self {
            Self::None => None,
            Self::HubspotSignature { secret, .. }
            | Self::StandardWebhooks { secret }
            | Self::ApiKey { secret, .. }
            | Self::Bearer { secret }
            | Self::Basic { secret, .. } => Some(secret),
            Self::Oauth2ClientCredentials(client) => Some(&client.secret),
        }
    }
}

/// What is new on every attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptStamp {
    /// The delivery; its id is the `webhook-id` of all its attempts.
    pub delivery: DeliveryId,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// When the attempt is made.
    pub now: UnixMs,
}

/// The request of one attempt, ready to be fetched. It borrows what it can, the body always.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The HTTP method.
    pub method: Method,
    /// The URL as it goes over the wire; may hold an API key.
    pub url: Cow<'a, str>,
    /// Names and values, each name once; may hold keys.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The body, empty for methods without one.
    pub body: Cow<'a, str>,
}

/// Why a request can't be authenticated. None of them holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The secret isn't there.
    #[error("secret `{secret}` doesn't exist")]
    MissingSecret {
        /// Its name.
        secret: Slug,
    },
    /// The value can't be used for this type of authentication.
    #[error("secret `{secret}` {why}")]
    InvalidSecret {
        /// Its name.
        secret: Slug,
        /// What is wrong with its value.
        why: Unusable,
    },
    /// There is no token that the secret was exchanged for.
    #[error("there is no token for secret `{secret}`")]
    MissingToken {
        /// The secret's name.
        secret: Slug,
    },
    /// The secret may not be sent to this host.
    #[error("secret `{secret}` may not be sent to `{host}`, which isn't among its hosts")]
    HostNotAllowed {
        /// Its name.
        secret: Slug,
        /// Where the request goes.
        host: String,
    },
}

/// Why a value can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Headers hold visible ASCII characters and spaces.
    #[error("can't go into a header: byte {at} isn't a visible ASCII character or a space")]
    InHeader {
        /// Offset of the first byte that can't.
        at: usize,
    },
    /// It isn't a `whsec_…` or `whsk_…` secret.
    #[error("isn't a key for Standard Webhooks: {0}")]
    AsKey(#[from] standard_webhooks::InvalidKey),
}

impl ApplyError {
    /// A stable slug for answers and for the reason of an attempt that wasn't made.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingSecret { .. } => "missing_secret",
            Self::InvalidSecret { .. } => "invalid_secret",
            Self::MissingToken { .. } => "missing_token",
            Self::HostNotAllowed { .. } => "secret_host_not_allowed",
        }
    }
}

/// Turns a rendered request into that of one attempt. `secret` is the one that [`Auth::secret`] names,
/// as it is in force at `attempt.now`; `None` where there is no such secret. `token` is what OAuth 2.0 sends
/// in its place; the secret's hosts are the token's, too.
///
/// A header that is added replaces one of the same name in the request.
///
/// # Errors
///
/// [`ApplyError`] where the secret is missing, unusable, or may not be sent to the host of the URL.
pub fn apply<'a>(
    auth: &Auth,
    request: &'a Request,
    secret: Option<SecretInForce<'a>>,
    token: Option<&'a Token>,
    attempt: &AttemptStamp,
) -> Result<Outgoing<'a>, ApplyError> {
    let mut outgoing = Outgoing::of(request);
    let id = attempt.delivery.to_string();
    let seconds = attempt.now.as_secs().to_string();
    if let Some(name) = auth.secret() {
        let secret = secret.ok_or_else(|| ApplyError::MissingSecret { secret: name.clone() })?;
        refuse_other_hosts(name, secret, &request.url)?;
        let secret = match auth {
            Auth::Oauth2ClientCredentials(client) => {
                // A token that is remembered was got when the secret might still go there.
                refuse_other_hosts(name, secret, &client.token_url)?;
                let token = token.ok_or_else(|| ApplyError::MissingToken { secret: name.clone() })?;
                SecretInForce { current: token.value(), previous: None, ..secret }
            }
            _ => secret,
        };
        outgoing
            .authenticate(auth, secret, attempt.now, &id, &seconds)
            .map_err(|why| ApplyError::InvalidSecret { secret: name.clone(), why })?;
    }
    // After the authentication, so that no key can take the place of the id.
    outgoing.stamp(attempt, id, seconds);
    Ok(outgoing)
}

/// The request of an attempt but for its authentication.
pub(crate) fn stamped<'a>(request: &'a Request, attempt: &AttemptStamp) -> Outgoing<'a> {
    let mut outgoing = Outgoing::of(request);
    outgoing.stamp(attempt, attempt.delivery.to_string(), attempt.now.as_secs().to_string());
    outgoing
}

impl<'a> Outgoing<'a> {
    fn of(request: &'a Request) -> Self {
        Self {
            method: request.method,
            url: Cow::Borrowed(&request.url),
            headers: request.headers.iter().map(|(name, value)| (borrowed(name), borrowed(value))).collect(),
            body: Cow::Borrowed(&request.body),
        }
    }

    fn stamp(&mut self, attempt: &AttemptStamp, id: String, seconds: String) {
        self.set(standard_webhooks::ID_HEADER, id);
        self.set(standard_webhooks::TIMESTAMP_HEADER, seconds);
        self.set(ATTEMPT_HEADER, attempt.number.to_string());
    }

    fn authenticate(
        &mut self,
        auth: &Auth,
        secret: SecretInForce<'a>,
        now: UnixMs,
        id: &str,
        seconds: &str,
    ) -> Result<(), Unusable> {
        match auth {
            Auth::None => {}
            Auth::HubspotSignature { versions, .. } => self.sign_for_hubspot(versions, secret.current, now),
            Auth::StandardWebhooks { .. } => {
                let message =
                    standard_webhooks::Message { id, timestamp: seconds, body: self.body.as_bytes() };
                let signatures = standard_webhooks_signatures(secret, &message)?;
                self.set(standard_webhooks::SIGNATURE_HEADER, signatures);
            }
            Auth::ApiKey { location: KeyLocation::Header, name, .. } => {
                self.set(name.to_ascii_lowercase(), for_header(secret.current)?);
            }
            Auth::ApiKey { location: KeyLocation::Query, name, .. } => {
                self.url = Cow::Owned(with_parameter(&self.url, name, secret.current.expose()));
            }
            Auth::Bearer { .. } | Auth::Oauth2ClientCredentials(_) => {
                self.set("authorization", format!("Bearer {}", for_header(secret.current)?));
            }
            Auth::Basic { username, .. } => {
                let credentials = STANDARD.encode(format!("{username}:{}", secret.current.expose()));
                self.set("authorization", format!("Basic {credentials}"));
            }
        }
        Ok(())
    }

    fn sign_for_hubspot(&mut self, versions: &[HubspotVersion], secret: &Secret, now: UnixMs) {
        let timestamp = now.0.to_string();
        for &version in versions {
            let message = hubspot::Message {
                method: self.method.as_str(),
                uri: &self.url,
                body: self.body.as_bytes(),
                timestamp: &timestamp,
            };
            let signature = hubspot::sign(version, secret.expose().as_bytes(), &message);
            self.set(version.header(), signature);
            match version {
                HubspotVersion::V1 | HubspotVersion::V2 => {
                    self.set(hubspot::VERSION_HEADER, version.as_str());
                }
                HubspotVersion::V3 => self.set(hubspot::TIMESTAMP_HEADER, timestamp.clone()),
            }
        }
    }

    fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let name = name.into();
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
    }
}

impl fmt::Debug for Outgoing<'_> {
    /// Shows neither the URL nor header values, which may hold keys, and no body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

fn borrowed(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

pub(crate) fn refuse_other_hosts(
    name: &Slug,
    secret: SecretInForce<'_>,
    url: &str,
) -> Result<(), ApplyError> {
    if secret.hosts.is_empty() {
        return Ok(());
    }
    // A URL that doesn't parse has no host that anything allows.
    let url = url::Url::parse(url).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    if secret.may_go_to(host) {
        Ok(())
    } else {
        Err(ApplyError::HostNotAllowed { secret: name.clone(), host: host.to_owned() })
    }
}

/// One signature per value in force, the current one's first.
fn standard_webhooks_signatures(
    secret: SecretInForce<'_>,
    message: &standard_webhooks::Message<'_>,
) -> Result<String, Unusable> {
    let current = standard_webhooks::Key::parse(secret.current.expose())?;
    let mut signatures = standard_webhooks::sign(&current, message)?;
    // The former value may come from another scheme; then there is nobody who waits for its signature.
    if let Some(previous) = secret
        .previous
        .and_then(|secret| standard_webhooks::Key::parse(secret.expose()).ok())
        .and_then(|key| standard_webhooks::sign(&key, message).ok())
    {
        signatures.push(' ');
        signatures.push_str(&previous);
    }
    Ok(signatures)
}

fn for_header(secret: &Secret) -> Result<&str, Unusable> {
    let value = secret.expose();
    match value.bytes().position(|byte| !matches!(byte, b' '..=b'~')) {
        None => Ok(value),
        Some(at) => Err(Unusable::InHeader { at }),
    }
}

/// Appends a parameter to the URL's query, in front of a fragment, should there be one.
fn with_parameter(url: &str, name: &str, value: &str) -> String {
    with_encoded_parameter(url, name, &percent_encoded(value))
}

/// The same for a value that goes in as it is.
pub(crate) fn with_encoded_parameter(url: &str, name: &str, value: &str) -> String {
    let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let name = percent_encoded(name);
    format!("{url}{separator}{name}={value}{fragment}")
}

pub(crate) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oauth2::read_answer;
    use crate::secret::{Generate, HostPattern};
    use crate::signature::Received;

    const NOW: UnixMs = UnixMs(1_767_323_045_678);
    const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER_WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn secret(value: &str) -> Secret {
        Secret::new(value).unwrap()
    }

    fn name() -> Slug {
        "shipping-app".parse().unwrap()
    }

    fn stamp() -> AttemptStamp {
        AttemptStamp { delivery: DeliveryId::mint(NOW, 37, 0x1234_5678_9abc_def0_1122), number: 3, now: NOW }
    }

    fn request(method: Method, body: &str) -> Request {
        Request {
            method,
            url: "https://shipping.example/orders?src=crm".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_owned(),
        }
    }

    fn in_force(current: &Secret) -> SecretInForce<'_> {
        SecretInForce { current, previous: None, hosts: &[] }
    }

    fn header<'a>(outgoing: &'a Outgoing<'_>, name: &str) -> Option<&'a str> {
        outgoing.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn applied(auth: &Auth, value: &str) -> Result<(String, Vec<(String, String)>), ApplyError> {
        let (request, value) = (request(Method::Post, r#"{"ref":"1"}"#), secret(value));
        let outgoing = apply(auth, &request, Some(in_force(&value)), None, &stamp())?;
        let owned = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| (name.to_string(), value.to_string());
        Ok((outgoing.url.into_owned(), outgoing.headers.iter().map(owned).collect()))
    }

    /// What `auth` adds to the headers, less the stamp.
    fn added(auth: &Auth, value: &str) -> Vec<(String, String)> {
        let (_, headers) = applied(auth, value).unwrap();
        let stamped = ["content-type", "webhook-id", "webhook-timestamp", "varde-attempt"];
        headers.into_iter().filter(|(name, _)| !stamped.contains(&name.as_str())).collect()
    }

    fn hubspot(versions: &[HubspotVersion]) -> Auth {
        Auth::HubspotSignature { secret: name(), versions: versions.to_vec() }
    }

    fn api_key(location: KeyLocation, key: &str) -> Auth {
        Auth::ApiKey { location, name: key.to_owned(), secret: name() }
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn auth_format_unchanged() {
        let cases = [
            (Auth::None, r#"{"type":"none"}"#),
            (
                hubspot(&[HubspotVersion::V2, HubspotVersion::V3]),
                r#"{"type":"hubspot_signature","secret":"shipping-app","versions":["v2","v3"]}"#,
            ),
            (
                Auth::StandardWebhooks { secret: name() },
                r#"{"type":"standard_webhooks","secret":"shipping-app"}"#,
            ),
            (
                api_key(KeyLocation::Query, "key"),
                r#"{"type":"api_key","location":"query","name":"key","secret":"shipping-app"}"#,
            ),
            (Auth::Bearer { secret: name() }, r#"{"type":"bearer","secret":"shipping-app"}"#),
            (
                Auth::Basic { username: "varde".to_owned(), secret: name() },
                r#"{"type":"basic","username":"varde","secret":"shipping-app"}"#,
            ),
            (
                oauth2(),
                r#"{"type":"oauth2_client_credentials","token_url":"https://auth.example/token","client_id":"varde","secret":"shipping-app"}"#,
            ),
        ];
        for (auth, json) in cases {
            assert_eq!(serde_json::to_string(&auth).unwrap(), json);
            assert_eq!(serde_json::from_str::<Auth>(json).unwrap(), auth);
            // Each field that is there is needed.
            let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
            for field in whole.keys() {
                let mut less = whole.clone();
                less.shift_remove(field);
                let error = serde_json::from_value::<Auth>(less.into()).unwrap_err().to_string();
                assert!(error.contains(&format!("missing field `{field}`")), "{error}");
            }
        }
        assert!(serde_json::from_str::<Auth>(r#"{"type":"kerberos"}"#).is_err());
    }

    #[test]
    fn every_attempt_is_stamped() {
        let request = request(Method::Get, "");
        let outgoing = apply(&Auth::None, &request, None, None, &stamp()).unwrap();
        let expected = [
            ("content-type", "application/json"),
            ("webhook-id", "dlv_01kdyak3sejrt5cy4tqkff0492"),
            ("webhook-timestamp", "1767323045"),
            ("varde-attempt", "3"),
        ];
        assert_eq!(outgoing.headers, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!((outgoing.method, &*outgoing.url, &*outgoing.body), (Method::Get, &*request.url, ""));
    }

    #[test]
    fn nothing_is_copied_that_needn_t_be() {
        let (mut request, key) = (request(Method::Post, "body"), secret("Bearer abc"));
        request.headers.push(("x-a".to_owned(), "b".to_owned()));
        let auth = api_key(KeyLocation::Header, "Authorization");
        let outgoing = apply(&auth, &request, Some(in_force(&key)), None, &stamp()).unwrap();
        assert!(matches!(outgoing.body, Cow::Borrowed(body) if core::ptr::eq(body, request.body.as_str())));
        assert!(matches!(outgoing.url, Cow::Borrowed(_)));
        assert!(
            outgoing.headers[..2].iter().all(|header| matches!(header, (Cow::Borrowed(_), Cow::Borrowed(_))))
        );
    }

    #[test]
    fn hubspot_headers_format_unchanged() {
        let v1 = "6c3c5135b4b3964e6408167c917ea65694b1f84f0aa2a60f10076ff05068ed96";
        let v2 = "a3e519a5a57f6484cced06c894a61dd8cc4c5ae32dafb7c3d3c5c0be178e16dd";
        let v3 = "xQMsHChu0RtlIh487icsvzlFlGSCuWLrbvT6ob2pdf8=";
        let value = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
        let v1_headers = pairs(&[("x-hubspot-signature", v1), ("x-hubspot-signature-version", "v1")]);
        let v2_headers = pairs(&[("x-hubspot-signature", v2), ("x-hubspot-signature-version", "v2")]);
        let v3_headers =
            pairs(&[("x-hubspot-signature-v3", v3), ("x-hubspot-request-timestamp", "1767323045678")]);
        assert_eq!(added(&hubspot(&[HubspotVersion::V1]), value), v1_headers);
        assert_eq!(
            added(&hubspot(&[HubspotVersion::V2, HubspotVersion::V3]), value),
            [v2_headers, v3_headers].concat()
        );
    }

    #[test]
    fn keys_and_credentials_format_unchanged() {
        let bearer = Auth::Bearer { secret: name() };
        let basic = Auth::Basic { username: "varde".to_owned(), secret: name() };
        let header = api_key(KeyLocation::Header, "X-Api-Key");
        let authorization = api_key(KeyLocation::Header, "Authorization");
        let cases = [
            (&bearer, "abc", ("authorization", "Bearer abc")),
            (&basic, "abc", ("authorization", "Basic dmFyZGU6YWJj")),
            (&basic, "blåbær", ("authorization", "Basic dmFyZGU6YmzDpWLDpnI=")),
            (&header, "abc", ("x-api-key", "abc")),
            (&authorization, "Bearer abc", ("authorization", "Bearer abc")),
        ];
        for (auth, value, expected) in cases {
            assert_eq!(added(auth, value), pairs(&[expected]), "{auth:?}");
        }
    }

    #[test]
    fn a_key_is_appended_to_the_query() {
        let cases = [
            ("https://a.example/", "https://a.example/?api%20key=a%2Bb%20c%26%3D%23~"),
            ("https://a.example/?", "https://a.example/?api%20key=a%2Bb%20c%26%3D%23~"),
            ("https://a.example/?x=1", "https://a.example/?x=1&api%20key=a%2Bb%20c%26%3D%23~"),
            ("https://a.example/?x=1&", "https://a.example/?x=1&api%20key=a%2Bb%20c%26%3D%23~"),
            ("https://a.example/?x=1#top", "https://a.example/?x=1&api%20key=a%2Bb%20c%26%3D%23~#top"),
        ];
        for (url, expected) in cases {
            let request = Request { url: url.to_owned(), ..request(Method::Get, "") };
            let key = secret("a+b c&=#~");
            let auth = api_key(KeyLocation::Query, "api key");
            let outgoing = apply(&auth, &request, Some(in_force(&key)), None, &stamp()).unwrap();
            assert_eq!(outgoing.url, expected);
        }
    }

    #[test]
    fn a_rotation_signs_twice_for_standard_webhooks_only() {
        let (new, old, foreign) = (secret(WHSEC), secret(OTHER_WHSEC), secret("yyyy-yyyy"));
        let request = request(Method::Post, "{}");
        let with = |auth: &Auth, previous, header_name: &str| {
            let secret = SecretInForce { current: &new, previous, hosts: &[] };
            let outgoing = apply(auth, &request, Some(secret), None, &stamp()).unwrap();
            header(&outgoing, header_name).unwrap().to_owned()
        };
        let auth = Auth::StandardWebhooks { secret: name() };
        let both = with(&auth, Some(&old), "webhook-signature");
        let one = with(&auth, None, "webhook-signature");
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').next(), Some(one.as_str()));
        assert_eq!(with(&auth, Some(&foreign), "webhook-signature"), one);

        let bearer = Auth::Bearer { secret: name() };
        assert_eq!(with(&bearer, Some(&old), "authorization"), format!("Bearer {WHSEC}"));
    }

    #[test]
    fn receivers_of_either_secret_accept_standard_webhooks() {
        let (new, old) = (secret(WHSEC), secret(OTHER_WHSEC));
        let request = request(Method::Post, r#"{"ref":"ø"}"#);
        let auth = Auth::StandardWebhooks { secret: name() };
        let secret = SecretInForce { current: &new, previous: Some(&old), hosts: &[] };
        let outgoing = apply(&auth, &request, Some(secret), None, &stamp()).unwrap();
        let headers: Vec<_> =
            outgoing.headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let received = Received {
            method: "POST",
            uri: &outgoing.url,
            headers: &headers,
            body: outgoing.body.as_bytes(),
        };
        for text in [WHSEC, OTHER_WHSEC] {
            let key = standard_webhooks::Key::parse(text).unwrap();
            assert_eq!(standard_webhooks::verify(&[&key], &received, NOW), Ok(()));
        }
    }

    #[test]
    fn a_rotation_may_change_the_kind_of_key() {
        let (shared, pair) = (secret(WHSEC), Generate::StandardWebhooksEd25519.value(&[7; 32]));
        let request = request(Method::Post, "{}");
        let auth = Auth::StandardWebhooks { secret: name() };
        for (current, previous, kinds) in
            [(&pair, &shared, ["v1a", "v1"]), (&shared, &pair, ["v1", "v1a"]), (&pair, &pair, ["v1a", "v1a"])]
        {
            let secret = SecretInForce { current, previous: Some(previous), hosts: &[] };
            let outgoing = apply(&auth, &request, Some(secret), None, &stamp()).unwrap();
            let signatures = header(&outgoing, "webhook-signature").unwrap();
            let found: Vec<_> = signatures.split(' ').map(|one| one.split(',').next().unwrap()).collect();
            assert_eq!(found, kinds);
        }
    }

    #[test]
    fn what_is_added_replaces_what_is_there() {
        let mut request = request(Method::Post, "");
        for (name, value) in
            [("Authorization", "Bearer mine"), ("webhook-id", "mine"), ("varde-attempt", "9")]
        {
            request.headers.push((name.to_owned(), value.to_owned()));
        }
        let key = secret("abc");
        let auth = Auth::Bearer { secret: name() };
        let outgoing = apply(&auth, &request, Some(in_force(&key)), None, &stamp()).unwrap();
        assert_eq!(outgoing.headers.len(), 5);
        assert_eq!(header(&outgoing, "authorization"), Some("Bearer abc"));

        let auth = api_key(KeyLocation::Header, "Webhook-Id");
        let outgoing = apply(&auth, &request, Some(in_force(&key)), None, &stamp()).unwrap();
        assert_eq!(header(&outgoing, "webhook-id"), Some("dlv_01kdyak3sejrt5cy4tqkff0492"));
        assert_eq!(outgoing.headers.iter().filter(|(name, _)| name == "webhook-id").count(), 1);
    }

    #[test]
    fn an_unusable_secret_is_named() {
        let bearer = Auth::Bearer { secret: name() };
        let header = api_key(KeyLocation::Header, "x-api-key");
        let webhooks = Auth::StandardWebhooks { secret: name() };
        let cases = [
            (&bearer, "ab\u{e5}", Unusable::InHeader { at: 2 }),
            (&header, "\u{e5}b", Unusable::InHeader { at: 0 }),
            (&webhooks, "whsec_####", Unusable::AsKey(standard_webhooks::InvalidKey::NotBase64)),
            (
                &webhooks,
                "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
                Unusable::AsKey(standard_webhooks::InvalidKey::PublicOnly),
            ),
        ];
        for (auth, value, why) in cases {
            let error = applied(auth, value).unwrap_err();
            assert_eq!(error, ApplyError::InvalidSecret { secret: name(), why });
            assert_eq!(error.code(), "invalid_secret");
            assert!(error.to_string().starts_with("secret `shipping-app` "), "{error}");
            assert!(!error.to_string().contains(value), "{error}");
        }
    }

    #[test]
    fn a_missing_secret_is_named() {
        let request = request(Method::Post, "");
        let error = apply(&Auth::Bearer { secret: name() }, &request, None, None, &stamp()).unwrap_err();
        assert_eq!(error, ApplyError::MissingSecret { secret: name() });
        assert_eq!(error.code(), "missing_secret");
    }

    #[test]
    fn a_secret_goes_to_its_hosts_only() {
        let (request, key) = (request(Method::Post, ""), secret("abc"));
        let auth = Auth::Bearer { secret: name() };
        let to = |url: &str, pattern: &str| {
            let hosts: [HostPattern; 1] = [pattern.parse().unwrap()];
            let request = Request { url: url.to_owned(), ..request.clone() };
            let secret = SecretInForce { hosts: &hosts, ..in_force(&key) };
            apply(&auth, &request, Some(secret), None, &stamp()).map(|outgoing| outgoing.headers.len())
        };
        assert_eq!(to("https://shipping.example/orders", "shipping.example"), Ok(5));
        assert_eq!(to("https://eu.shipping.example:8443/", "*.shipping.example"), Ok(5));
        for (url, host) in [
            ("https://evil.example/shipping.example", "evil.example"),
            ("https://shipping.example@evil.example/", "evil.example"),
            ("https://shipping.example.evil.example/", "shipping.example.evil.example"),
            ("shipping.example", ""),
        ] {
            let error = to(url, "shipping.example").unwrap_err();
            assert_eq!(error, ApplyError::HostNotAllowed { secret: name(), host: host.to_owned() });
            assert_eq!(error.code(), "secret_host_not_allowed");
        }
    }

    fn oauth2() -> Auth {
        Auth::Oauth2ClientCredentials(Box::new(ClientCredentials {
            token_url: "https://auth.example/token".to_owned(),
            client_id: "varde".to_owned(),
            secret: name(),
            scope: None,
        }))
    }

    #[test]
    fn a_token_goes_in_the_secret_s_place() {
        let (request, password) = (request(Method::Post, ""), secret("the-password"));
        let token = read_answer(200, br#"{"access_token":"the-token"}"#, NOW).unwrap();
        let hosts = ["shipping.example", "auth.example"].map(|host| host.parse::<HostPattern>().unwrap());
        let secret = SecretInForce { hosts: &hosts, ..in_force(&password) };
        let outgoing = apply(&oauth2(), &request, Some(secret), Some(&token), &stamp()).unwrap();
        assert_eq!(header(&outgoing, "authorization"), Some("Bearer the-token"));
        assert!(outgoing.headers.iter().all(|(_, value)| !value.contains("password")));

        let error = apply(&oauth2(), &request, Some(secret), None, &stamp()).unwrap_err();
        assert_eq!((error.code(), error), ("missing_token", ApplyError::MissingToken { secret: name() }));
        let error = apply(&oauth2(), &request, None, Some(&token), &stamp()).unwrap_err();
        assert_eq!(error.code(), "missing_secret");
        // What was got for a secret goes where the secret may go, and only that is used which it may be sent for.
        for hosts in [&hosts[..1], &hosts[1..]] {
            let secret = SecretInForce { hosts, ..secret };
            let error = apply(&oauth2(), &request, Some(secret), Some(&token), &stamp()).unwrap_err();
            assert_eq!(error.code(), "secret_host_not_allowed");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let (request, key) = (request(Method::Post, "body"), secret("abcdef"));
        for auth in [Auth::Bearer { secret: name() }, api_key(KeyLocation::Query, "key")] {
            let outgoing = apply(&auth, &request, Some(in_force(&key)), None, &stamp()).unwrap();
            let shown = format!("{outgoing:?}");
            assert!(shown.contains("webhook-id") && !shown.contains("abcdef"), "{shown}");
        }
    }

    proptest! {
        /// The URL with the key is as a URL parser would write it, so what is signed is what is sent.
        #[test]
        fn the_signed_url_is_the_sent_url(key in "[ -~ø😀]{1,40}", parameter in "[ -~ø]{1,20}", query in "[a-z=&]{0,8}") {
            let url = url::Url::parse(&format!("https://a.example/b?{query}")).unwrap();
            let with_key = with_parameter(url.as_str(), &parameter, &key);
            let parsed = url::Url::parse(&with_key).unwrap();
            prop_assert_eq!(parsed.as_str(), with_key.as_str());
            let (last_name, last_value) = parsed.query_pairs().last().unwrap();
            prop_assert_eq!((&*last_name, &*last_value), (parameter.as_str(), key.as_str()));
        }

        #[test]
        fn hubspot_accepts_what_is_signed(body in any::<String>(), key in "[!-~]{1,40}", version in 0..3usize) {
            let version = [HubspotVersion::V1, HubspotVersion::V2, HubspotVersion::V3][version];
            let (request, key) = (request(Method::Put, &body), secret(&key));
            let outgoing = apply(&hubspot(&[version]), &request, Some(in_force(&key)), None, &stamp()).unwrap();
            let headers: Vec<_> =
                outgoing.headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let received =
                Received { method: "PUT", uri: &outgoing.url, headers: &headers, body: body.as_bytes() };
            prop_assert_eq!(hubspot::verify(version, &[key.expose().as_bytes()], &received, NOW), Ok(()));
        }
    }
}
