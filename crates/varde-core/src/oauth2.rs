//! OAuth 2.0 client credentials (RFC 6749, section 4.4): what is asked of the token endpoint, what its answer
//! means, how long a token counts, and when another one is asked for.
//!
//! In scope: the request ([`ClientCredentials::token_request`]), the answer ([`read_answer`]), the key under
//! which a token may be remembered ([`CacheKey`]), what an endpoint's 401 leads to ([`asks_anew`]). Out of
//! scope: fetching and remembering (the Worker's sender), putting a token into a request ([`crate::auth`]).

use core::fmt;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::auth::{ApplyError, Outgoing, refuse_other_hosts};
use crate::json;
use crate::outcome::{Outcome, Verdict};
use crate::render::USER_AGENT;
use crate::request::Method;
use crate::schedule::RetryPolicy;
use crate::secret::{Secret, SecretInForce};
use crate::slug::Slug;
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, UnixMs};

/// How long a token counts whose answer doesn't say: RFC 6749, section 5.1, leaves that to documentation. Short,
/// because a token that has ended costs a request and a 401.
pub const DEFAULT_LIFETIME_MS: u64 = 5 * MINUTE_MS;
/// The longest that a token is remembered, whatever its answer says.
pub const MAX_LIFETIME_MS: u64 = DAY_MS;
/// How long before its end a token is no longer used: the time for a slow request, by two clocks. A token of
/// less than five minutes ends a tenth of its life early.
pub const MARGIN_MS: u64 = 30 * SECOND_MS;
/// The longest token, in bytes; it has to fit what all headers of a request have together.
pub const MAX_TOKEN_BYTES: usize = 12 * 1_024;

const FORM: &str = "application/x-www-form-urlencoded";

/// Who asks whom for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// The token endpoint, as it goes over the wire.
    pub token_url: String,
    /// What the authorization server calls this client.
    pub client_id: String,
    /// Name of the secret that is the client's password.
    pub secret: Slug,
    /// What the token is to allow, in the server's words, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Under which a token is remembered: it is another one for another token endpoint, client, scope or value of
/// the secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hash of a secret may be guessed at.
        f.write_str("CacheKey(…)")
    }
}

impl ClientCredentials {
    /// The request for a token, authenticated as in RFC 6749, section 2.3.1.
    ///
    /// # Errors
    ///
    /// [`ApplyError::HostNotAllowed`] where the secret may not be sent to the token endpoint.
    pub fn token_request(&self, secret: SecretInForce<'_>) -> Result<Outgoing<'static>, ApplyError> {
        refuse_other_hosts(&self.secret, secret, &self.token_url)?;
        let scope = self.scope.iter().flat_map(|scope| ["&scope=".to_owned(), form_encoded(scope)]);
        let body = core::iter::once("grant_type=client_credentials".to_owned()).chain(scope).collect();
        let password = form_encoded(secret.current.expose());
        let credentials = STANDARD.encode(format!("{}:{password}", form_encoded(&self.client_id)));
        let headers = [
            ("accept", Cow::Borrowed("application/json")),
            ("content-type", Cow::Borrowed(FORM)),
            ("user-agent", Cow::Borrowed(USER_AGENT)),
            ("authorization", Cow::Owned(format!("Basic {credentials}"))),
        ];
        Ok(Outgoing {
            method: Method::Post,
            url: Cow::Owned(self.token_url.clone()),
            headers: headers.map(|(name, value)| (Cow::Borrowed(name), value)).into(),
            body: Cow::Owned(body),
        })
    }

    /// Under which the token is remembered that `secret` gets.
    #[must_use]
    pub fn cache_key(&self, secret: &Secret) -> CacheKey {
        let mut hash = Sha256::new();
        let scope = self.scope.as_deref();
        for part in [&self.token_url, &self.client_id, scope.unwrap_or_default(), secret.expose()] {
            // The length first, so that no two lists of parts give the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update([u8::from(scope.is_some())]);
        CacheKey(hash.finalize().into())
    }
}

/// The secret as a token request spells it. A server may echo that, too, so a [`crate::secret::Mask`] has to
/// know it.
#[must_use]
pub fn spelling(secret: &Secret) -> Secret {
    Secret::unchecked(form_encoded(secret.expose()))
}

fn form_encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// An access token. Its `Debug` doesn't show it; its memory is wiped when dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    value: Secret,
    usable_until: UnixMs,
}

impl Token {
    /// The token itself, for sending and masking.
    #[must_use]
    pub const fn value(&self) -> &Secret {
        &self.value
    }

    /// Whether it may still be used.
    #[must_use]
    pub fn is_usable(&self, now: UnixMs) -> bool {
        now < self.usable_until
    }

    /// What stands in a token's place where a request is shown and not sent.
    #[must_use]
    pub fn placeholder() -> Self {
        Self { value: Secret::unchecked(crate::secret::mask::MASK.to_owned()), usable_until: UnixMs(0) }
    }
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The server finds the request malformed.
    InvalidRequest,
    /// The server doesn't know the client, or its password is wrong.
    InvalidClient,
    /// The server finds the grant invalid.
    InvalidGrant,
    /// The client may not ask for tokens this way.
    UnauthorizedClient,
    /// The server doesn't give tokens this way.
    UnsupportedGrantType,
    /// The server doesn't know the scope, or doesn't allow it to the client.
    InvalidScope,
    /// An answer that isn't a token, and none of the errors of RFC 6749, section 5.2.
    Status,
    /// An answer that says it is a token, and can't be read as one.
    Unreadable,
    /// No full answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// The token URL may not be called; nothing was sent.
    Blocked,
}

const ERRORS: [(&str, Trouble); 6] = [
    ("invalid_request", Trouble::InvalidRequest),
    ("invalid_client", Trouble::InvalidClient),
    ("invalid_grant", Trouble::InvalidGrant),
    ("unauthorized_client", Trouble::UnauthorizedClient),
    ("unsupported_grant_type", Trouble::UnsupportedGrantType),
    ("invalid_scope", Trouble::InvalidScope),
];

impl Trouble {
    /// What it means for the delivery. A status counts as if the endpoint itself had answered it: 4xx says
    /// that asking again won't help, all else is tried again. So is a 200 that holds no token: somebody
    /// else's page may stand in for a server that is down.
    #[must_use]
    pub fn verdict(self, status: Option<u16>, policy: &RetryPolicy) -> Verdict {
        match (self, status) {
            (Self::Blocked, _) => Verdict::Reject,
            (Self::Timeout | Self::Connect | Self::Unreadable, _) | (_, None | Some(200..=299)) => {
                Verdict::Retry
            }
            (_, Some(status)) => Outcome::Response { status, retry_after: None }.verdict(policy),
        }
    }

    /// A stable slug of why an attempt wasn't made: `token_invalid_client`, `token_http_503`, …
    #[must_use]
    pub fn reason(self, status: Option<u16>) -> String {
        let why = match self {
            Self::Status => return format!("token_http_{}", status.unwrap_or_default()),
            Self::Unreadable => "unreadable",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Blocked => "blocked_url",
            error => ERRORS.iter().find(|(_, known)| *known == error).map_or("error", |(name, _)| name),
        };
        format!("token_{why}")
    }
}

/// Reads the answer of a token endpoint to a request that was made at `asked_at`.
///
/// # Errors
///
/// [`Trouble`] where it holds no token.
pub fn read_answer(status: u16, body: &[u8], asked_at: UnixMs) -> Result<Token, Trouble> {
    let answer = json::parse_foreign(body).ok();
    if !(200..=299).contains(&status) {
        let error = answer.as_ref().and_then(|answer| answer.get("error")?.as_str());
        let known = error.and_then(|error| ERRORS.iter().find(|(name, _)| *name == error));
        return match known {
            Some(&(_, trouble)) if (400..=499).contains(&status) => Err(trouble),
            _ => Err(Trouble::Status),
        };
    }
    let answer = answer.ok_or(Trouble::Unreadable)?;
    let value = answer.get("access_token").and_then(Value::as_str).ok_or(Trouble::Unreadable)?;
    let sendable = value.bytes().all(|byte| byte.is_ascii_graphic());
    if value.is_empty() || value.len() > MAX_TOKEN_BYTES || !sendable || !is_bearer(&answer) {
        return Err(Trouble::Unreadable);
    }
    let lifetime_ms = lifetime_ms(answer.get("expires_in"));
    let usable_until = asked_at.plus_ms(lifetime_ms - MARGIN_MS.min(lifetime_ms / 10));
    Ok(Token { value: Secret::unchecked(value.to_owned()), usable_until })
}

/// Whether another token is asked for, and the request sent once more in the same attempt: the endpoint may
/// have forgotten a token before its time. Only once, so that a token endpoint isn't asked for ever.
#[must_use]
pub const fn asks_anew(status: u16, asked_anew: bool) -> bool {
    status == 401 && !asked_anew
}

/// RFC 6749 requires a type; servers that leave it out mean bearer, and some have their own word for it.
fn is_bearer(answer: &Value) -> bool {
    match answer.get("token_type") {
        None | Some(Value::Null) => true,
        Some(kind) => kind.as_str().is_some_and(|kind| {
            ["bearer", "bearertoken"].iter().any(|known| kind.eq_ignore_ascii_case(known))
        }),
    }
}

/// `expires_in` is a number of seconds; some servers send it as a text.
fn lifetime_ms(expires_in: Option<&Value>) -> u64 {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    match seconds {
        // A cast of what is too large gives the largest number, which is cut.
        Some(seconds) if seconds >= 0.0 => ((seconds * SECOND_MS as f64) as u64).min(MAX_LIFETIME_MS),
        _ => DEFAULT_LIFETIME_MS,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::secret::{HostPattern, Mask};

    const NOW: UnixMs = UnixMs(1_767_323_045_678);

    fn client() -> ClientCredentials {
        ClientCredentials {
            token_url: "https://auth.example/token".to_owned(),
            client_id: "varde".to_owned(),
            secret: "shop-client".parse().unwrap(),
            scope: Some("orders:write read".to_owned()),
        }
    }

    fn secret(value: &str) -> Secret {
        Secret::new(value).unwrap()
    }

    fn in_force(current: &Secret) -> SecretInForce<'_> {
        SecretInForce { current, previous: None, hosts: &[] }
    }

    fn read(status: u16, body: &Value) -> Result<Token, Trouble> {
        read_answer(status, body.to_string().as_bytes(), NOW)
    }

    /// How long a token counts, in milliseconds from when it was asked for.
    fn counts_for(body: &Value) -> u64 {
        let token = read(200, body).unwrap();
        let until = token.usable_until;
        assert!(!token.is_usable(until) && (until == NOW || token.is_usable(UnixMs(until.0 - 1))));
        until.since_ms(NOW)
    }

    #[test]
    fn token_request_format_unchanged() {
        let request = client().token_request(in_force(&secret("pass"))).unwrap();
        assert_eq!((request.method, &*request.url), (Method::Post, "https://auth.example/token"));
        assert_eq!(request.body, "grant_type=client_credentials&scope=orders%3Awrite+read");
        let expected = [
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("user-agent", USER_AGENT),
            ("authorization", "Basic dmFyZGU6cGFzcw=="),
        ];
        assert_eq!(request.headers, expected.map(|(name, value)| (name.into(), value.into())));
        let plain = ClientCredentials { scope: None, ..client() };
        let request = plain.token_request(in_force(&secret("pass"))).unwrap();
        assert_eq!(request.body, "grant_type=client_credentials");
    }

    #[test]
    fn id_and_password_are_form_encoded_first() {
        // RFC 6749, section 2.3.1: each half on its own, so that a colon in the id stays one.
        let client = ClientCredentials { client_id: "a:b c".to_owned(), ..client() };
        let request = client.token_request(in_force(&secret("p+q:ø%"))).unwrap();
        let credentials = request.headers[3].1.strip_prefix("Basic ").unwrap();
        let decoded = String::from_utf8(STANDARD.decode(credentials).unwrap()).unwrap();
        assert_eq!(decoded, "a%3Ab+c:p%2Bq%3A%C3%B8%25");
    }

    #[test]
    fn what_a_server_can_echo_is_masked() {
        let value = secret("p+q r:ø%&");
        let request = client().token_request(in_force(&value)).unwrap();
        let spelled = spelling(&value);
        let mask = Mask::new([&value, &spelled]);
        let shown = mask.apply(&request.headers[3].1);
        assert!(shown.contains("***") && !shown.contains(&STANDARD.encode("p%2Bq")), "{shown}");
        assert_eq!(mask.apply("client_secret=p%2Bq+r%3A%C3%B8%25%26."), "client_secret=***.");
    }

    #[test]
    fn a_secret_goes_to_token_endpoints_that_it_may_go_to() {
        let hosts: [HostPattern; 1] = ["*.shop.example".parse().unwrap()];
        let value = secret("pass");
        let limited = SecretInForce { hosts: &hosts, ..in_force(&value) };
        let refused = client().token_request(limited).unwrap_err();
        assert_eq!(refused.code(), "secret_host_not_allowed");
        let client = ClientCredentials { token_url: "https://auth.shop.example/".to_owned(), ..client() };
        assert!(client.token_request(limited).is_ok());
    }

    #[test]
    fn another_token_for_each_part_that_differs() {
        let of = |client: &ClientCredentials, value: &str| client.cache_key(&secret(value));
        let keys = [
            of(&client(), "pass"),
            of(&client(), "other"),
            of(&ClientCredentials { token_url: "https://auth.example/".to_owned(), ..client() }, "pass"),
            of(&ClientCredentials { client_id: "vard".to_owned(), ..client() }, "pass"),
            of(&ClientCredentials { scope: None, ..client() }, "pass"),
            of(&ClientCredentials { scope: Some(String::new()), ..client() }, "pass"),
            of(
                &ClientCredentials {
                    client_id: "vard".to_owned(),
                    scope: Some("eorders:write read".to_owned()),
                    ..client()
                },
                "pass",
            ),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
        // The secret's name doesn't matter, its value does.
        let renamed = ClientCredentials { secret: "new-name".parse().unwrap(), ..client() };
        assert_eq!(of(&renamed, "pass"), keys[0]);
        assert_eq!(format!("{:?}", keys[0]), "CacheKey(…)");
    }

    #[test]
    fn reads_tokens() {
        for body in [
            json!({"access_token": "a.b-c~/+=", "token_type": "Bearer", "expires_in": 3600}),
            json!({"access_token": "a.b-c~/+=", "token_type": "bearer", "scope": "x", "refresh_token": "no"}),
            json!({"access_token": "a.b-c~/+=", "token_type": "BearerToken"}),
            json!({"access_token": "a.b-c~/+=", "token_type": null}),
            json!({"access_token": "a.b-c~/+="}),
        ] {
            assert_eq!(read(200, &body).map(|token| token.value), Ok(secret("a.b-c~/+=")), "{body}");
            assert!(read(201, &body).is_ok());
        }
        let longest = "t".repeat(MAX_TOKEN_BYTES);
        assert!(read(200, &json!({"access_token": longest})).is_ok());
        for body in [
            json!({}),
            json!([]),
            json!({"access_token": ""}),
            json!({"access_token": 5}),
            json!({"access_token": "two words"}),
            json!({"access_token": "a\r\nx-injected: 1"}),
            json!({"access_token": "bl\u{e5}"}),
            json!({"access_token": format!("{longest}t")}),
            json!({"access_token": "a", "token_type": "mac"}),
            json!({"access_token": "a", "token_type": 5}),
            json!({"error": "invalid_client"}),
        ] {
            assert_eq!(read(200, &body), Err(Trouble::Unreadable), "{body}");
        }
        assert_eq!(read_answer(200, b"<html>Log in</html>", NOW), Err(Trouble::Unreadable));
        assert_eq!(read_answer(204, b"", NOW), Err(Trouble::Unreadable));
    }

    #[test]
    fn a_token_counts_until_shortly_before_its_end() {
        for (expires_in, expected) in [
            (json!(3600), 3_600_000 - MARGIN_MS),
            (json!(300), 300_000 - MARGIN_MS),
            (json!(10), 9_000),
            (json!(2), 1_800),
            (json!("60"), 54_000),
            (json!(1.5), 1_350),
            (json!(0), 0),
            (json!(1e300), MAX_LIFETIME_MS - MARGIN_MS),
            (json!(u64::MAX), MAX_LIFETIME_MS - MARGIN_MS),
            (json!("soon"), DEFAULT_LIFETIME_MS - MARGIN_MS),
            (json!(-5), DEFAULT_LIFETIME_MS - MARGIN_MS),
            (json!("NaN"), DEFAULT_LIFETIME_MS - MARGIN_MS),
            (json!(null), DEFAULT_LIFETIME_MS - MARGIN_MS),
        ] {
            let body = json!({"access_token": "a", "expires_in": expires_in});
            assert_eq!(counts_for(&body), expected, "{body}");
        }
        assert_eq!(counts_for(&json!({"access_token": "a"})), DEFAULT_LIFETIME_MS - MARGIN_MS);
    }

    #[test]
    fn an_error_is_named_and_judged() {
        let policy = RetryPolicy { also_retry: vec![403], ..RetryPolicy::default() };
        for (status, body, trouble, reason, verdict) in [
            (
                401,
                r#"{"error":"invalid_client"}"#,
                Trouble::InvalidClient,
                "token_invalid_client",
                Verdict::Reject,
            ),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                Trouble::InvalidScope,
                "token_invalid_scope",
                Verdict::Reject,
            ),
            (
                400,
                r#"{"error":"invalid_request"}"#,
                Trouble::InvalidRequest,
                "token_invalid_request",
                Verdict::Reject,
            ),
            (
                400,
                r#"{"error":"invalid_grant"}"#,
                Trouble::InvalidGrant,
                "token_invalid_grant",
                Verdict::Reject,
            ),
            (
                400,
                r#"{"error":"unauthorized_client"}"#,
                Trouble::UnauthorizedClient,
                "token_unauthorized_client",
                Verdict::Reject,
            ),
            (
                400,
                r#"{"error":"unsupported_grant_type"}"#,
                Trouble::UnsupportedGrantType,
                "token_unsupported_grant_type",
                Verdict::Reject,
            ),
            (400, r#"{"error":"out_of_tea"}"#, Trouble::Status, "token_http_400", Verdict::Reject),
            (404, "no such page", Trouble::Status, "token_http_404", Verdict::Reject),
            (410, "", Trouble::Status, "token_http_410", Verdict::Reject),
            (403, "", Trouble::Status, "token_http_403", Verdict::Retry),
            (429, r#"{"error":"slow_down"}"#, Trouble::Status, "token_http_429", Verdict::Retry),
            (503, r#"{"error":"invalid_client"}"#, Trouble::Status, "token_http_503", Verdict::Retry),
            (302, "", Trouble::Status, "token_http_302", Verdict::Retry),
            (200, "{}", Trouble::Unreadable, "token_unreadable", Verdict::Retry),
        ] {
            let found = read_answer(status, body.as_bytes(), NOW).unwrap_err();
            assert_eq!(found, trouble, "{status} {body}");
            assert_eq!(found.reason(Some(status)), reason);
            assert_eq!(found.verdict(Some(status), &policy), verdict, "{status} {body}");
        }
        for (trouble, reason, verdict) in [
            (Trouble::Timeout, "token_timeout", Verdict::Retry),
            (Trouble::Connect, "token_connect", Verdict::Retry),
            (Trouble::Blocked, "token_blocked_url", Verdict::Reject),
        ] {
            assert_eq!((trouble.reason(None).as_str(), trouble.verdict(None, &policy)), (reason, verdict));
        }
    }

    #[test]
    fn asks_once_more_after_a_401() {
        for status in 100..=599 {
            assert_eq!(asks_anew(status, false), status == 401, "{status}");
            assert!(!asks_anew(status, true), "{status}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let token = read(200, &json!({"access_token": "hunter2"})).unwrap();
        assert!(!format!("{token:?}").contains("hunter"), "{token:?}");
        let request = client().token_request(in_force(&secret("hunter2"))).unwrap();
        assert!(!format!("{request:?}").contains("Basic"), "{request:?}");
    }

    proptest! {
        /// Whatever a server answers, what is taken for a token can go into a header.
        #[test]
        fn any_answer_is_a_token_or_trouble(status in 100..600u16, body in ".{0,80}", token in any::<String>()) {
            let _ = read_answer(status, body.as_bytes(), NOW);
            if let Ok(read) = read(200, &json!({"access_token": token})) {
                prop_assert!(read.value.expose().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
