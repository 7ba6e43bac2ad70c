use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use varde_core::outcome::Verdict;
use varde_core::request::Method;

use super::{Action, Headers, OutcomeWord, Record};

/// What an action is tried out with.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The record.
    pub record: Record,
    /// The event.
    pub event: Option<Map<String, Value>>,
    /// Outputs of earlier actions, by action and name.
    pub outputs: Option<BTreeMap<String, BTreeMap<String, Value>>>,
}

/// An action that isn't saved, and what it is tried out with.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestDraft {
    /// The record.
    pub record: Record,
    /// The event.
    pub event: Option<Map<String, Value>>,
    /// Outputs of earlier actions, by action and name.
    pub outputs: Option<BTreeMap<String, BTreeMap<String, Value>>>,
    /// The action.
    pub action: Action,
    /// What kind of record it is.
    pub object_type: String,
}

/// What a test sent, and what came back. Nothing of it is stored.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestResult {
    /// What it met.
    pub outcome: OutcomeWord,
    /// Why there is no token: a stable slug.
    pub trouble: Option<String>,
    /// The status that the token endpoint answered.
    pub token_status: Option<u16>,
    /// What that would mean for a delivery.
    pub verdict: Verdict,
    /// Why it wasn't delivered: a stable slug.
    pub reason: Option<String>,
    /// The same for people, where there is no answer that tells.
    pub error: Option<String>,
    /// What was sent, with keys masked.
    pub request: TestRequest,
    /// What came back; null where nothing did.
    #[schemars(extend("x-nullable" = true))]
    pub response: Option<TestResponse>,
    /// How long it took.
    pub duration_ms: u64,
    /// What the action would pick from it.
    pub outputs: BTreeMap<String, Value>,
    /// Why some may be missing.
    pub outputs_note: Option<String>,
    /// The same request as a shell command, with placeholders for secrets.
    pub curl: String,
}

/// A request as it went out, with keys masked.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRequest {
    /// The HTTP method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// All headers.
    pub http_headers: Headers,
    /// The body.
    pub body: String,
}

/// A response to a test.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, to 16 KiB.
    pub body: String,
    /// Whether there was more.
    pub truncated: bool,
}
