use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Delivery, Ms, Problem};

/// A record to enroll, and the event that came with it.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    /// The record.
    pub record: Record,
    /// Fields of the event that triggered it.
    pub event: Option<Map<String, Value>>,
}

/// A CRM record. What isn't given isn't there.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its id; a number is read as its digits.
    pub id: RecordId,
    /// Its properties, any JSON.
    #[schemars(extend("maxProperties" = 1000))]
    pub properties: Map<String, Value>,
    /// Former values of its properties.
    pub history: Option<BTreeMap<String, Vec<Version>>>,
    /// Passed through as `form-submissions` of a contact.
    pub form_submissions: Option<Vec<Value>>,
    /// Passed through as `list-memberships` of a contact.
    pub list_memberships: Option<Vec<Value>>,
    /// Passed through as `identity-profiles` of a contact.
    pub identity_profiles: Option<Vec<Value>>,
}

/// A record's id.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RecordId {
    /// In an answer always.
    Text(#[schemars(length(min = 1, max = 256))] String),
    /// Read as its digits.
    Number(i64),
}

/// A value that a property had.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The value.
    pub value: Value,
    /// When it was set.
    pub timestamp: Ms,
    /// HubSpot's word for the kind of source.
    #[schemars(extend("x-nullable" = true))]
    pub source_type: Option<String>,
    /// Which source of that kind.
    #[schemars(extend("x-nullable" = true))]
    pub source_id: Option<String>,
    /// The source's name.
    #[schemars(extend("x-nullable" = true))]
    pub source_label: Option<String>,
}

/// An enrollment that is committed.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Its id.
    #[schemars(regex(pattern = "^enr_"))]
    pub id: String,
    /// As it was accepted.
    #[schemars(extend("const" = "running"))]
    pub status: String,
}

/// Up to 100 enrollments; each stands for itself.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollBatch {
    /// The enrollments. They may be anything: one that is wrong gets its problem, and the others go on.
    #[schemars(length(min = 1, max = 100))]
    pub inputs: Vec<Value>,
}

/// One enrollment of a batch.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchInput {
    /// The record.
    pub record: Record,
    /// Fields of the event that triggered it.
    pub event: Option<Map<String, Value>>,
    /// As the header of a single enrollment.
    pub idempotency_key: Option<String>,
}

/// What became of each enrollment, in order.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchResults {
    /// One for each input.
    pub results: Vec<BatchResult>,
}

/// What became of one enrollment.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum BatchResult {
    /// It is committed.
    Enrolled(Enrolled),
    /// It isn't.
    Problem(Problem),
}

/// One record going through one workflow.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrollment {
    /// Its id.
    #[schemars(regex(pattern = "^enr_"))]
    pub id: String,
    /// The workflow's id.
    pub workflow: String,
    /// How it stands.
    pub status: EnrollmentStatus,
    /// Why it ended early.
    pub reason: Option<String>,
    /// The record.
    pub record: Record,
    /// The event.
    pub event: Option<Map<String, Value>>,
    /// What was picked from responses, by action and name.
    pub outputs: BTreeMap<String, BTreeMap<String, Value>>,
    /// Its deliveries so far, in order.
    pub deliveries: Vec<Delivery>,
    /// When it was accepted.
    pub created_at: Ms,
    /// When it ended.
    pub ended_at: Option<Ms>,
}

/// How an enrollment stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentStatus {
    /// Something is still to be sent.
    Running,
    /// All deliveries have ended.
    Completed,
    /// It ended early.
    Failed,
    /// A person ended it.
    Canceled,
}
