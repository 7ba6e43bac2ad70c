use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
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
    /// What was sent, with keys masked; absent when nothing could be sent.
    pub request: Option<TestRequest>,
    /// The same as a shell command, with placeholders for secrets.
    pub curl: Option<String>,
    /// What it met.
    pub outcome: OutcomeWord,
    /// Why nothing was sent.
    pub reason: Option<String>,
    /// What came back.
    pub response: Option<TestResponse>,
    /// How long it took.
    pub duration_ms: u64,
    /// What the action would pick from it.
    pub outputs: BTreeMap<String, Value>,
    /// Why it would pick nothing.
    pub outputs_note: Option<String>,
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
    pub truncated: Option<bool>,
}
