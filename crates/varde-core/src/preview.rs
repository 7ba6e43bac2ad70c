//! What an action would send, shown before anything is saved or sent: the same rendering as a delivery's,
//! with placeholders where secrets, and what is new on every attempt, will stand.
//!
//! ```
//! let input = serde_json::json!({
//!     "action": {"id": "tell", "type": "webhook", "method": "GET", "url": "https://chat.example/",
//!                "auth": {"type": "bearer", "secret": "chat-token"}},
//!     "object_type": "deal",
//!     "record": {"id": 51, "properties": {}},
//!     "now": 0,
//! });
//! let preview = varde_core::preview::Draft::parse(&input).unwrap().preview().unwrap();
//! assert_eq!(preview.request.url, "https://chat.example/");
//! assert!(preview.added.iter().any(|added| added.value == "Bearer <chat-token>"));
//! ```

use serde::Serialize;
use serde_json::{Map, Value};

use crate::auth::{ATTEMPT_HEADER, Auth, HubspotVersion, KeyLocation};
use crate::endpoint_url::Policy;
use crate::expr::{Context, Scope};
use crate::json::{Mistake, Mistakes, Node};
use crate::outputs::Outputs;
use crate::record::Record;
use crate::render::{Unsendable, render};
use crate::request::Request;
use crate::signature::{hubspot, standard_webhooks};
use crate::time::UnixMs;
use crate::workflow::{Action, ObjectType};

/// Latest time that JavaScript's `Date` knows, in Unix milliseconds.
const MAX_NOW: u64 = 8_640_000_000_000_000;

/// An action that is being edited, with what it would be rendered from.
#[derive(Debug, Clone)]
pub struct Draft {
    action: Action,
    object_type: ObjectType,
    record: Record,
    event: Option<Map<String, Value>>,
    outputs: Outputs,
    now: UnixMs,
    policy: Policy,
}

/// What would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The part that is the same on every attempt, byte for byte as a delivery would have it.
    pub request: Request,
    /// What every attempt adds anew, in the order of the wire; a header replaces one of the same name.
    pub added: Vec<Added>,
}

/// A header or a parameter that an attempt adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Where it goes.
    pub location: KeyLocation,
    /// Its name, of a header in lower case.
    pub name: String,
    /// Its value, with a placeholder in angle brackets where something isn't known yet or is secret.
    pub value: String,
}

impl Draft {
    /// Reads `{"action", "object_type", "record", "event"?, "outputs"?, "now", "allow_loopback"?}`; the
    /// last is for a Worker that runs on the developer's own machine.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let draft = Self::read(Node::root(value, &mistakes));
        mistakes.conclude(draft)
    }

    fn read(node: Node<'_>) -> Option<Self> {
        let fields =
            node.fields(&["action", "object_type", "record", "event", "outputs", "now", "allow_loopback"])?;
        let loopback = fields.or("allow_loopback", false, |node| node.boolean());
        let policy = if loopback == Some(true) { Policy::WITH_LOOPBACK } else { Policy::PUBLIC };
        let action = fields.need("action", |node| Action::read(node, &Scope::draft(), policy));
        let object_type = fields.need("object_type", |node| node.parse());
        let record = fields.need("record", Record::read);
        let event = fields.maybe("event", |node| node.object().cloned());
        let outputs = fields.or("outputs", Outputs::default(), Outputs::read);
        let now = fields.need("now", |node| node.integer(0..=MAX_NOW));
        Some(Self {
            action: action?,
            object_type: object_type?,
            record: record?,
            event: event?,
            outputs: outputs?,
            now: UnixMs(now?),
            policy,
        })
    }

    /// Renders it.
    ///
    /// # Errors
    ///
    /// Why nothing could be sent.
    pub fn preview(&self) -> Result<Preview, Unsendable> {
        let context = Context {
            object_type: &self.object_type,
            record: &self.record,
            event: self.event.as_ref(),
            outputs: &self.outputs,
            now: self.now,
        };
        let request = render(&self.action, &context, self.policy)?;
        Ok(Preview { request, added: added(self.action.auth()) })
    }
}

/// What [`crate::auth::apply`] adds, with placeholders; in its order.
fn added(auth: &Auth) -> Vec<Added> {
    let mut added = match auth {
        Auth::None => Vec::new(),
        Auth::HubspotSignature { secret, versions } => versions
            .iter()
            .flat_map(|&version| {
                let signature =
                    header(version.header(), format!("<signature {} with {secret}>", version.as_str()));
                let companion = match version {
                    HubspotVersion::V1 | HubspotVersion::V2 => {
                        header(hubspot::VERSION_HEADER, version.as_str())
                    }
                    HubspotVersion::V3 => header(hubspot::TIMESTAMP_HEADER, "<time in ms>"),
                };
                [signature, companion]
            })
            .collect(),
        Auth::StandardWebhooks { secret } => {
            vec![header(standard_webhooks::SIGNATURE_HEADER, format!("<signature with {secret}>"))]
        }
        Auth::ApiKey { location, name, secret } => {
            let name = match location {
                KeyLocation::Header => name.to_ascii_lowercase(),
                KeyLocation::Query => name.clone(),
            };
            vec![Added { location: *location, name, value: format!("<{secret}>") }]
        }
        Auth::Bearer { secret } => vec![header("authorization", format!("Bearer <{secret}>"))],
        Auth::Basic { username, secret } => {
            vec![header("authorization", format!("Basic <base64 of {username}:{secret}>"))]
        }
        Auth::Oauth2ClientCredentials(client) => {
            vec![header("authorization", format!("Bearer <token for {}>", client.secret))]
        }
    };
    added.extend([
        header(standard_webhooks::ID_HEADER, "<id of the delivery>"),
        header(standard_webhooks::TIMESTAMP_HEADER, "<time in seconds>"),
        header(ATTEMPT_HEADER, "1"),
    ]);
    added
}

fn header(name: &str, value: impl Into<String>) -> Added {
    Added { location: KeyLocation::Header, name: name.to_owned(), value: value.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::{AttemptStamp, apply};
    use crate::ids::DeliveryId;
    use crate::oauth2::Token;
    use crate::secret::{Secret, SecretInForce};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn input(auth: &Value) -> Value {
        json!({
            "action": {"id": "a", "type": "webhook", "method": "POST", "url": "https://shop.example/?a=1",
                       "auth": auth, "body": {"kind": "json", "template": {"to": "{{ outputs.find.name }}"}}},
            "object_type": "deal", "record": {"id": 5, "properties": {}}, "event": {}, "now": 7,
            "outputs": {"find": {"name": "Zoë"}},
        })
    }

    fn auths() -> [Value; 9] {
        [
            json!({"type": "none"}),
            json!({"type": "hubspot_signature", "secret": "app"}),
            json!({"type": "hubspot_signature", "secret": "app", "versions": ["v1"]}),
            json!({"type": "standard_webhooks", "secret": "hooks"}),
            json!({"type": "api_key", "location": "header", "name": "X-Key", "secret": "key"}),
            json!({"type": "api_key", "location": "query", "name": "Key", "secret": "key"}),
            json!({"type": "bearer", "secret": "token"}),
            json!({"type": "basic", "username": "ada", "secret": "word"}),
            json!({"type": "oauth2_client_credentials", "token_url": "https://login.example/token", "client_id": "varde", "secret": "client"}),
        ]
    }

    /// A preview must not promise another header than an attempt sends.
    #[test]
    fn adds_what_an_attempt_adds() {
        let (secret, token) = (Secret::new(SECRET).unwrap(), Token::placeholder());
        for auth in auths() {
            let draft = Draft::parse(&input(&auth)).unwrap();
            let Preview { request, added } = draft.preview().unwrap();
            let in_force = SecretInForce { current: &secret, previous: None, hosts: &[] };
            let stamp =
                AttemptStamp { delivery: DeliveryId::mint(UnixMs(9), 0, 7), number: 1, now: UnixMs(9) };
            let outgoing =
                apply(draft.action.auth(), &request, Some(in_force), Some(&token), &stamp).unwrap();
            let expected: Vec<&str> =
                outgoing.headers[request.headers.len()..].iter().map(|(name, _)| &**name).collect();
            let in_headers: Vec<&str> = added
                .iter()
                .filter(|added| added.location == KeyLocation::Header)
                .map(|added| added.name.as_str())
                .collect();
            assert_eq!(in_headers, expected, "{auth}");
            let parameters = added.iter().filter(|added| added.location == KeyLocation::Query);
            let parameters: Vec<_> = parameters.map(|added| format!("&{}=", added.name)).collect();
            assert_eq!(parameters.is_empty(), outgoing.url == request.url, "{auth}");
            assert!(parameters.iter().all(|parameter| outgoing.url.contains(parameter)), "{auth}");
        }
    }

    #[test]
    fn shows_where_a_secret_will_stand() {
        let shown = |auth: &Value| {
            let added = Draft::parse(&input(auth)).unwrap().preview().unwrap().added;
            added
                .iter()
                .map(|added| format!("{}: {}", added.name, added.value))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let [_, both, v1, hooks, key, parameter, bearer, basic, oauth2] = auths();
        for (auth, part) in [
            (
                both,
                "x-hubspot-signature-v3: <signature v3 with app>\nx-hubspot-request-timestamp: <time in ms>",
            ),
            (v1, "x-hubspot-signature: <signature v1 with app>\nx-hubspot-signature-version: v1"),
            (hooks, "webhook-signature: <signature with hooks>"),
            (key, "x-key: <key>"),
            (parameter, "Key: <key>"),
            (bearer, "authorization: Bearer <token>"),
            (basic, "authorization: Basic <base64 of ada:word>"),
            (oauth2, "authorization: Bearer <token for client>"),
        ] {
            assert!(shown(&auth).contains(part), "{auth}: {}", shown(&auth));
        }
    }

    #[test]
    fn names_all_mistakes_at_once() {
        let mut wrong = input(&json!({"type": "bearer"}));
        wrong["record"]["id"] = json!(1.5);
        wrong["now"] = json!(-1);
        wrong["colour"] = json!("red");
        let found: Vec<_> =
            Draft::parse(&wrong).unwrap_err().into_iter().map(|mistake| mistake.pointer).collect();
        assert_eq!(found, ["/colour", "/action/auth/secret", "/record/id", "/now"]);
    }

    #[test]
    fn loopback_is_for_those_who_ask() {
        let mut local = input(&json!({"type": "none"}));
        local["action"]["url"] = json!("http://127.0.0.1:8787/inspect/x");
        assert_eq!(Draft::parse(&local).unwrap_err()[0].pointer, "/action/url");
        local["allow_loopback"] = json!(true);
        let preview = Draft::parse(&local).unwrap().preview().unwrap();
        assert_eq!(preview.request.url, "http://127.0.0.1:8787/inspect/x");
    }

    #[test]
    fn says_why_nothing_could_be_sent() {
        let mut without = input(&json!({"type": "none"}));
        without["outputs"] = json!({});
        assert_eq!(Draft::parse(&without).unwrap().preview().unwrap_err().code(), "missing_output");
    }
}
