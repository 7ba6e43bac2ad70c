//! One step of a workflow.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::auth::read_auth;
use super::retry::{read_rate_limit, read_retry};
use super::{Body, Field, Header, RateLimit, UrlTemplate};
use crate::auth::{Auth, KeyLocation};
use crate::endpoint_url::Policy;
use crate::expr::Scope;
use crate::json::{Mistake, Mistakes, Node};
use crate::outputs::{MAX_OUTPUTS, Output};
use crate::request::Method;
use crate::schedule::RetryPolicy;
use crate::slug::Slug;

/// Most headers of an action; with the largest values they still fit what servers take.
pub const MAX_HEADERS: usize = 50;

/// Most parameters of an action: more can't fit a URL of 2,048 bytes.
pub const MAX_PARAMETERS: usize = 1_000;

/// Shortest time that an attempt gets; a TLS handshake around the world takes most of it.
pub const MIN_TIMEOUT_MS: u64 = 1_000;

/// Longest time that an attempt gets: the platform ends background work 30 s after the answer, and the
/// outcome is to be stored before that.
pub const MAX_TIMEOUT_MS: u64 = 28_000;

/// The time that an attempt gets if the action doesn't say.
pub const DEFAULT_TIMEOUT_MS: u64 = 25_000;

/// A webhook to send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    id: Slug,
    #[serde(rename = "type")]
    kind: Kind,
    method: Method,
    url: UrlTemplate,
    auth: Auth,
    headers: Vec<Header>,
    query: Vec<Field>,
    body: Body,
    outputs: Vec<Output>,
    timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimit>,
    retry: RetryPolicy,
    on_failure: OnFailure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Webhook,
}

/// What an enrollment does after a delivery that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It goes on with the next action, as HubSpot's do.
    #[default]
    Continue,
    /// It ends as failed.
    Stop,
}

const FIELDS: [&str; 13] = [
    "id",
    "type",
    "method",
    "url",
    "auth",
    "headers",
    "query",
    "body",
    "outputs",
    "timeout_ms",
    "rate_limit",
    "retry",
    "on_failure",
];

impl Action {
    /// Reads an action that is tried out before it is saved. It may use any output, since the actions
    /// before it aren't known.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse_draft(value: &Value, policy: Policy) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let action = Self::read(Node::root(value, &mistakes), &Scope::draft(), policy);
        mistakes.conclude(action)
    }

    /// Reads an action that may use the outputs in `scope`.
    pub fn read(node: Node<'_>, scope: &Scope, policy: Policy) -> Option<Self> {
        let fields = node.fields(&FIELDS)?;
        let id = fields.need("id", |node| node.parse());
        let kind = fields.need("type", |node| node.word(&[("webhook", Kind::Webhook)]));
        let method =
            fields.need("method", |node| node.word(&Method::ALL.map(|method| (method.as_str(), method))));
        let url = fields.need("url", |node| UrlTemplate::read(node, scope, policy));
        let auth = fields.or("auth", Auth::None, |node| read_auth(node, policy));
        let taken = auth.as_ref().map(Taken::by).unwrap_or_default();
        let headers = fields.or("headers", Vec::new(), |node| read_headers(node, scope, &taken));
        let query = fields.or("query", Vec::new(), |node| read_query(node, scope, &taken));
        let body = fields.maybe("body", |node| {
            let body = Body::read(node, scope)?;
            if method.is_some_and(|method| !method.has_body()) && body != Body::None {
                node.mistake("GET and DELETE have no body; use `query`");
                return None;
            }
            Some(body)
        });
        let outputs = fields.or("outputs", Vec::new(), read_outputs);
        let timeout_ms =
            fields.or("timeout_ms", DEFAULT_TIMEOUT_MS, |node| node.integer(MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS));
        let rate_limit = fields.maybe("rate_limit", read_rate_limit);
        let retry = fields.or("retry", RetryPolicy::default(), read_retry);
        let on_failure = fields.or("on_failure", OnFailure::Continue, |node| {
            node.word(&[("continue", OnFailure::Continue), ("stop", OnFailure::Stop)])
        });
        let method = method?;
        let default_body = if method.has_body() { Body::AllProperties } else { Body::None };
        Some(Self {
            id: id?,
            kind: kind?,
            method,
            url: url?,
            auth: auth?,
            headers: headers?,
            query: query?,
            body: body?.unwrap_or(default_body),
            outputs: outputs?,
            timeout_ms: timeout_ms?,
            rate_limit: rate_limit?,
            retry: retry?,
            on_failure: on_failure?,
        })
    }

    /// The canonical form, with all defaults filled in.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("invariant: an action holds nothing that JSON can't")
    }

    /// Its id, unique in the workflow.
    #[must_use]
    pub const fn id(&self) -> &Slug {
        &self.id
    }

    /// The HTTP method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Where it goes.
    #[must_use]
    pub const fn url(&self) -> &UrlTemplate {
        &self.url
    }

    /// How it proves where it comes from.
    #[must_use]
    pub const fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Its own headers.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Parameters appended to the URL.
    #[must_use]
    pub fn query(&self) -> &[Field] {
        &self.query
    }

    /// What is sent.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// What is picked from the response.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The time that an attempt gets, response body included.
    #[must_use]
    pub const fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// How many requests it may make in a while.
    #[must_use]
    pub const fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }

    /// When a failed attempt is made again.
    #[must_use]
    pub const fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// What happens when it fails for good.
    #[must_use]
    pub const fn on_failure(&self) -> OnFailure {
        self.on_failure
    }
}

/// The header or parameter that the authentication sets, and that the user so can't.
#[derive(Default)]
struct Taken {
    header: Option<String>,
    parameter: Option<String>,
}

impl Taken {
    fn by(auth: &Auth) -> Self {
        match auth {
            Auth::Bearer { .. } | Auth::Basic { .. } | Auth::Oauth2ClientCredentials(_) => {
                Self { header: Some("authorization".to_owned()), parameter: None }
            }
            Auth::ApiKey { location: KeyLocation::Header, name, .. } => {
                Self { header: Some(name.clone()), parameter: None }
            }
            Auth::ApiKey { location: KeyLocation::Query, name, .. } => {
                Self { header: None, parameter: Some(name.clone()) }
            }
            // Theirs are refused by their names, whatever the authentication is.
            Auth::None | Auth::HubspotSignature { .. } | Auth::StandardWebhooks { .. } => Self::default(),
        }
    }
}

fn read_headers(node: Node<'_>, scope: &Scope, taken: &Taken) -> Option<Vec<Header>> {
    let mut names = BTreeSet::new();
    node.list(MAX_HEADERS, |item| {
        let header = Header::read(item, scope)?;
        if taken.header.as_deref() == Some(header.name().as_str()) {
            item.mistake_at("name", "this header is set by the action's `auth`");
            return None;
        }
        if !names.insert(header.name().clone()) {
            item.mistake_at("name", "another header has this name");
            return None;
        }
        Some(header)
    })
}

fn read_query(node: Node<'_>, scope: &Scope, taken: &Taken) -> Option<Vec<Field>> {
    node.list(MAX_PARAMETERS, |item| {
        let parameter = Field::read(item, scope)?;
        if taken.parameter.as_deref() == Some(parameter.name()) {
            item.mistake_at("name", "this parameter is set by the action's `auth`");
            return None;
        }
        Some(parameter)
    })
}

fn read_outputs(node: Node<'_>) -> Option<Vec<Output>> {
    let mut names = BTreeSet::new();
    node.list(MAX_OUTPUTS, |item| {
        let output = Output::read(item)?;
        if !names.insert(output.name().to_owned()) {
            item.mistake_at("name", "another output has this name");
            return None;
        }
        Some(output)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(changes: &Value) -> Result<Action, Vec<String>> {
        let mut value =
            json!({"id": "a", "type": "webhook", "method": "POST", "url": "https://shop.example/"});
        for (name, change) in changes.as_object().unwrap() {
            value[name] = change.clone();
        }
        Action::parse_draft(&value, Policy::PUBLIC)
            .map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_are_filled_in() {
        let action = with(&json!({})).unwrap();
        assert_eq!(action.body(), &Body::AllProperties);
        assert_eq!(action.auth(), &Auth::None);
        assert_eq!(action.timeout_ms(), 25_000);
        assert_eq!(action.retry(), &RetryPolicy::default());
        assert_eq!(action.on_failure(), OnFailure::Continue);
        assert_eq!(action.rate_limit(), None);
        for (method, kind) in
            [("PUT", "all_properties"), ("PATCH", "all_properties"), ("GET", "none"), ("DELETE", "none")]
        {
            let action = with(&json!({"method": method})).unwrap();
            assert_eq!(action.to_json()["body"], json!({"kind": kind}), "{method}");
            assert_eq!(action.method().as_str(), method);
        }
    }

    #[test]
    fn a_body_needs_a_method_that_has_one() {
        for method in ["GET", "DELETE"] {
            assert!(with(&json!({"method": method, "body": {"kind": "none"}})).is_ok());
            assert_eq!(
                with(&json!({"method": method, "body": {"kind": "all_properties"}})).unwrap_err(),
                ["/body: GET and DELETE have no body; use `query`"]
            );
        }
        assert_eq!(with(&json!({"body": {"kind": "none"}})).unwrap().body(), &Body::None);
    }

    #[test]
    fn says_what_is_wrong() {
        for (changes, mistakes) in [
            (
                json!({"id": "A"}),
                vec![
                    "/id: expected 1 to 63 of a-z, 0-9, `-` and `_`, starting with a letter or digit; found \"A\"",
                ],
            ),
            (json!({"type": "delay"}), vec!["/type: expected `webhook`, found \"delay\""]),
            (
                json!({"method": "get"}),
                vec!["/method: expected `GET`, `POST`, `PUT`, `PATCH` or `DELETE`, found \"get\""],
            ),
            (json!({"url": "http://shop.example/"}), vec!["/url: URL must start with `https://` and a host"]),
            (
                json!({"timeout_ms": 28_001}),
                vec!["/timeout_ms: expected a whole number from 1000 to 28000, found 28001"],
            ),
            (
                json!({"on_failure": "retry"}),
                vec!["/on_failure: expected `continue` or `stop`, found \"retry\""],
            ),
            (json!({"rate_limit": null}), vec!["/rate_limit: expected an object, found null"]),
            (
                json!({"headers": [{"name": "X-A", "value": {"static": 1}}, {"name": "x-a", "value": {"static": 2}}]}),
                vec!["/headers/1/name: another header has this name"],
            ),
            (
                json!({"outputs": [{"name": "x", "pointer": "/a", "type": "json"}, {"name": "x", "pointer": "/b", "type": "json"}]}),
                vec!["/outputs/1/name: another output has this name"],
            ),
            (
                json!({"auth": {"type": "bearer", "secret": "s"}, "headers": [{"name": "Authorization", "value": {"static": 1}}]}),
                vec!["/headers/0/name: this header is set by the action's `auth`"],
            ),
            (
                json!({"auth": {"type": "api_key", "location": "header", "name": "X-Key", "secret": "s"}, "headers": [{"name": "x-key", "value": {"static": 1}}]}),
                vec!["/headers/0/name: this header is set by the action's `auth`"],
            ),
            (
                json!({"auth": {"type": "api_key", "location": "query", "name": "key", "secret": "s"}, "query": [{"name": "key", "value": {"static": 1}}]}),
                vec!["/query/0/name: this parameter is set by the action's `auth`"],
            ),
            (
                json!({"method": "?", "auth": {"type": "?"}, "body": {"kind": "?"}}),
                vec![
                    "/method: expected `GET`, `POST`, `PUT`, `PATCH` or `DELETE`, found \"?\"",
                    "/auth/type: expected `none`, `hubspot_signature`, `standard_webhooks`, `api_key`, `bearer`, `basic` or `oauth2_client_credentials`, found \"?\"",
                    "/body/kind: expected `all_properties`, `properties`, `json`, `form`, `text` or `none`, found \"?\"",
                ],
            ),
        ] {
            assert_eq!(with(&changes).unwrap_err(), mistakes);
        }
    }

    #[test]
    fn lists_are_counted() {
        let header = |n: usize| json!({"name": format!("x-{n}"), "value": {"static": n}});
        let output = |n: usize| json!({"name": format!("x{n}"), "pointer": "/x", "type": "json"});
        for (field, most, item) in
            [("headers", MAX_HEADERS, &header as &dyn Fn(usize) -> Value), ("outputs", MAX_OUTPUTS, &output)]
        {
            let list = |count: usize| (0..count).map(item).collect::<Vec<_>>();
            assert!(with(&json!({field: list(most)})).is_ok());
            assert_eq!(
                with(&json!({field: list(most + 1)})).unwrap_err(),
                [format!("/{field}: expected at most {most} items, found {}", most + 1)]
            );
        }
    }

    #[test]
    fn parameters_may_repeat() {
        let query = json!([{"name": "id", "value": {"static": 1}}, {"name": "id", "value": {"static": 2}}]);
        assert_eq!(with(&json!({"query": query})).unwrap().query().len(), 2);
    }
}
