use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use varde_core::auth::{HubspotVersion, KeyLocation};
use varde_core::expr::{NowFormat, RecordField};
use varde_core::outputs::OutputType;
use varde_core::request::Method;
use varde_core::schedule::RetryPolicy;
use varde_core::workflow::{OnFailure, Ordering};

use super::Ms;

/// A named list of actions for the records of one type. What was read may be put back as it is.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// As in the path. In an answer always.
    #[schemars(regex(pattern = SLUG), extend("readOnly" = true))]
    pub id: Option<String>,
    /// Its name, for people.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// `contact`, `company`, `deal`, `ticket`, or the name of a custom object.
    #[schemars(regex(pattern = SLUG))]
    pub object_type: String,
    /// Whether the deliveries of one record wait for each other; default `none`.
    pub ordering: Option<Ordering>,
    /// How many outboxes share its deliveries; fixed when it is created; default 1.
    #[schemars(range(min = 1, max = 64))]
    pub shards: Option<u8>,
    /// How long ended deliveries are kept; default 30.
    #[schemars(range(min = 1, max = 365))]
    pub retention_days: Option<u16>,
    /// Its steps, in order.
    #[schemars(length(min = 1, max = 20))]
    pub actions: Vec<Action>,
    /// Counts its changes. In an answer always.
    #[schemars(extend("readOnly" = true))]
    pub version: Option<u64>,
    /// When it was created. In an answer always.
    #[schemars(extend("readOnly" = true))]
    pub created_at: Option<Ms>,
    /// When it was changed last. In an answer always.
    #[schemars(extend("readOnly" = true))]
    pub updated_at: Option<Ms>,
}

const SLUG: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

/// A step of a workflow.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Unique in its workflow.
    #[schemars(regex(pattern = SLUG))]
    pub id: String,
    /// What it does.
    #[schemars(extend("const" = "webhook"))]
    pub r#type: String,
    /// The HTTP method.
    pub method: Method,
    /// Where it goes: `https`, by name; may hold `{{ }}` in its path and query.
    #[schemars(length(min = 1))]
    pub url: String,
    /// How it proves where it comes from; default none.
    pub auth: Option<Auth>,
    /// Headers that are added.
    #[schemars(length(max = 50))]
    pub headers: Option<Vec<Field>>,
    /// Parameters appended to the URL, in order; an unset one is left out.
    #[schemars(length(max = 1000))]
    pub query: Option<Vec<Field>>,
    /// What is sent; default all properties for POST, PUT and PATCH. GET and DELETE have none.
    pub body: Option<Body>,
    /// What is picked from the response.
    #[schemars(length(max = 50))]
    pub outputs: Option<Vec<Output>>,
    /// The time of one attempt, response included; default 25,000.
    #[schemars(range(min = 1000, max = 28000))]
    pub timeout_ms: Option<u64>,
    /// Most requests in a while.
    pub rate_limit: Option<RateLimit>,
    /// When failed attempts are made again.
    pub retry: Option<RetryPolicy>,
    /// What an enrollment does after a delivery that failed for good; default `continue`.
    pub on_failure: Option<OnFailure>,
}

/// A name and where its value comes from.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// As it is sent.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its value.
    pub value: Expr,
}

/// Where a value comes from: exactly one of these.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expr {
    /// A property of the record.
    Property(#[schemars(length(min = 1, max = 256))] String),
    /// A field of the event.
    Event(#[schemars(length(min = 1, max = 256))] String),
    /// What an earlier action picked: `action.output`.
    Output(#[schemars(regex(pattern = "^[^.]+\\..+$"))] String),
    /// Something about the record itself.
    Record(RecordField),
    /// When the request was rendered.
    Now(NowFormat),
    /// Always the same.
    Static(Value),
    /// A text with `{{ }}` in it; one that is a single `{{ }}` keeps the type of its value.
    Template(String),
}

/// What is sent.
#[derive(Default, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// Everything known about the record, as HubSpot sends it.
    AllProperties,
    /// A flat object with these members, in order.
    Properties {
        /// Its members; no name twice.
        #[schemars(length(max = 1000))]
        fields: Vec<Field>,
    },
    /// Any JSON; its texts may hold `{{ }}`.
    Json {
        /// The JSON.
        template: Value,
    },
    /// As an HTML form sends it.
    Form {
        /// Its fields.
        #[schemars(length(max = 1000))]
        fields: Vec<Field>,
    },
    /// A text.
    Text {
        /// Its media type; default `text/plain; charset=utf-8`.
        #[schemars(length(min = 1, max = 128))]
        content_type: Option<String>,
        /// The text; may hold `{{ }}`.
        template: String,
    },
    /// Nothing.
    #[default]
    None,
}

/// How a request proves where it comes from.
#[derive(Default, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HubSpot's request signature.
    HubspotSignature {
        /// Name of the secret.
        #[schemars(regex(pattern = SLUG))]
        secret: String,
        /// Default v2 and v3; v1 and v2 exclude each other.
        #[schemars(length(min = 1, max = 3))]
        versions: Option<Vec<HubspotVersion>>,
    },
    /// Standard Webhooks: HMAC with a `whsec_` secret, ed25519 with a `whsk_` secret.
    StandardWebhooks {
        /// Name of the secret.
        #[schemars(regex(pattern = SLUG))]
        secret: String,
    },
    /// The secret's value as it is.
    ApiKey {
        /// Where it goes.
        location: KeyLocation,
        /// Of the header or parameter.
        #[schemars(length(min = 1, max = 256))]
        name: String,
        /// Name of the secret.
        #[schemars(regex(pattern = SLUG))]
        secret: String,
    },
    /// `Authorization: Bearer` and the secret's value.
    Bearer {
        /// Name of the secret.
        #[schemars(regex(pattern = SLUG))]
        secret: String,
    },
    /// `Authorization: Basic`.
    Basic {
        /// Holds no colon.
        #[schemars(length(max = 256))]
        username: String,
        /// Name of the secret that is the password.
        #[schemars(regex(pattern = SLUG))]
        secret: String,
    },
    /// A bearer token that is fetched by OAuth 2 client credentials, and kept until it ends.
    #[serde(rename = "oauth2_client_credentials")]
    Oauth2ClientCredentials {
        /// Where tokens are fetched.
        #[schemars(length(min = 1))]
        token_url: String,
        /// The client.
        #[schemars(length(min = 1))]
        client_id: String,
        /// Name of the secret that is the client's.
        #[schemars(regex(pattern = SLUG))]
        secret: String,
        /// What is asked for.
        scope: Option<String>,
    },
}

/// A field picked from a response.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// As later actions call it.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_.-]+$"))]
    pub name: String,
    /// JSON Pointer (RFC 6901) into the response.
    #[schemars(length(max = 512), regex(pattern = "^(/([^~]|~[01])*)?$"))]
    pub pointer: String,
    /// What it is made into.
    pub r#type: OutputType,
    /// Its value when the response has none.
    pub default: Option<Value>,
}

/// Most requests in a while.
#[derive(Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// This many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// In this time.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub per_ms: u64,
}

/// How an action or a workflow stands.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Of the workflow or the action.
    pub id: String,
    /// Whether deliveries are made.
    pub state: ActionState,
    /// Why it is paused.
    pub reason: Option<String>,
}

/// Whether deliveries are made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// They are.
    Active,
    /// They wait.
    Paused,
}

/// The accounting of a workflow: `accepted = delivered + rejected + exhausted + canceled + open`.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// All deliveries ever.
    pub accepted: u64,
    /// Answered with 2xx.
    pub delivered: u64,
    /// Refused for good, or not sendable.
    pub rejected: u64,
    /// Not delivered within the window.
    pub exhausted: u64,
    /// Ended by a person.
    pub canceled: u64,
    /// Not ended.
    pub open: u64,
    /// Attempts by what they meant.
    pub attempts: AttemptCounts,
    /// Open ones that can't be read and were set aside, where there are some.
    pub set_aside: Option<u64>,
    /// When the longest waiting delivery was or is due.
    pub oldest_open_due: Option<Ms>,
    /// The same for each action.
    pub actions: BTreeMap<String, ActionStats>,
}

/// The accounting of one action.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionStats {
    /// All deliveries ever.
    pub accepted: u64,
    /// Answered with 2xx.
    pub delivered: u64,
    /// Refused for good, or not sendable.
    pub rejected: u64,
    /// Not delivered within the window.
    pub exhausted: u64,
    /// Ended by a person.
    pub canceled: u64,
    /// Not ended.
    pub open: u64,
    /// Attempts by what they meant.
    pub attempts: AttemptCounts,
    /// Open ones that can't be read and were set aside, where there are some.
    pub set_aside: Option<u64>,
    /// Whether deliveries are made.
    pub state: ActionState,
    /// Why it is paused.
    pub reason: Option<String>,
    /// Its circuit breaker, while it is open in some shard.
    pub breaker: Option<OpenBreaker>,
}

/// A circuit breaker that is open: few deliveries are tried, the others wait.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenBreaker {
    /// Since when.
    pub open_since: Ms,
    /// When the endpoint is asked again.
    pub next_probe: Ms,
}

/// Attempts by what they meant.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptCounts {
    /// The endpoint has it.
    pub delivered: u64,
    /// To be tried again.
    pub retry: u64,
    /// Refused.
    pub reject: u64,
}
