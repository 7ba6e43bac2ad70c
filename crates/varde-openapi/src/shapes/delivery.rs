use schemars::JsonSchema;
use serde::Serialize;
use varde_core::outcome::Verdict;
use varde_core::request::Method;

use super::{Headers, Ms};

/// One webhook owed by one enrollment for one action.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Its id; the `webhook-id` of all its attempts.
    #[schemars(regex(pattern = "^dlv_"))]
    pub id: String,
    /// The enrollment's id.
    #[schemars(regex(pattern = "^enr_"))]
    pub enrollment: String,
    /// The workflow's id.
    pub workflow: String,
    /// The action's id.
    pub action: String,
    /// The record's id.
    pub record: String,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Number of the last attempt, or of the next one while it waits.
    pub attempt: u32,
    /// When the next attempt is due.
    pub next_due: Option<Ms>,
    /// When it was committed.
    pub created_at: Ms,
    /// When it ended.
    pub settled_at: Option<Ms>,
    /// Why it stands as it does: a stable slug such as `http_404`, `timeout`, `blocked_url`, `gone`.
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub reason: Option<String>,
    /// The delivery that this one repeats.
    #[schemars(regex(pattern = "^dlv_"))]
    pub replay_of: Option<String>,
    /// The bulk replay that asked for it.
    pub replay: Option<String>,
    /// The delivery that repeats this one.
    #[schemars(regex(pattern = "^dlv_"))]
    pub replayed_by: Option<String>,
}

/// A delivery with its request and attempts.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryDetail {
    /// Its id; the `webhook-id` of all its attempts.
    #[schemars(regex(pattern = "^dlv_"))]
    pub id: String,
    /// The enrollment's id.
    #[schemars(regex(pattern = "^enr_"))]
    pub enrollment: String,
    /// The workflow's id.
    pub workflow: String,
    /// The action's id.
    pub action: String,
    /// The record's id.
    pub record: String,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Number of the last attempt, or of the next one while it waits.
    pub attempt: u32,
    /// When the next attempt is due.
    pub next_due: Option<Ms>,
    /// When it was committed.
    pub created_at: Ms,
    /// When it ended.
    pub settled_at: Option<Ms>,
    /// Why it stands as it does: a stable slug such as `http_404`, `timeout`, `blocked_url`, `gone`.
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub reason: Option<String>,
    /// The delivery that this one repeats.
    #[schemars(regex(pattern = "^dlv_"))]
    pub replay_of: Option<String>,
    /// The bulk replay that asked for it.
    pub replay: Option<String>,
    /// The delivery that repeats this one.
    #[schemars(regex(pattern = "^dlv_"))]
    pub replayed_by: Option<String>,
    /// What is sent, without its authentication; absent when nothing could be sent.
    pub request: Option<Request>,
    /// Its attempts; of more than 100 the first 10 and the last 90.
    #[schemars(length(max = 100))]
    pub attempts: Vec<Attempt>,
    /// Why its response gave no outputs, or not all.
    pub outputs_note: Option<String>,
}

/// How a delivery stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// An attempt is due, now or later.
    Scheduled,
    /// An attempt is being made.
    InFlight,
    /// It waits, because its action or workflow is paused.
    Held,
    /// The endpoint answered 2xx.
    Delivered,
    /// The endpoint refused it for good, or nothing could be sent.
    Rejected,
    /// The window is over.
    Exhausted,
    /// A person ended it.
    Canceled,
}

/// A request as it is rendered.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// Its own headers, without those of the attempt.
    pub headers: Headers,
    /// The body; empty where there is none.
    pub body: String,
}

/// One HTTP request of a delivery.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: Ms,
    /// How long it took.
    pub duration_ms: u64,
    /// What it met.
    pub outcome: OutcomeWord,
    /// Why there is no token: a stable slug.
    pub trouble: Option<String>,
    /// The status that the token endpoint answered.
    pub token_status: Option<u16>,
    /// What that means.
    pub verdict: Verdict,
    /// The status that the endpoint answered.
    #[schemars(range(min = 100, max = 999))]
    pub status: Option<u16>,
    /// What the endpoint answered.
    pub response: Option<Response>,
    /// When the next attempt was due after it.
    pub next_due: Option<Ms>,
}

/// What an attempt met.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeWord {
    /// An answer.
    Response,
    /// No full answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// Nobody came back to tell.
    Lost,
    /// The URL may not be called.
    Blocked,
    /// There is no token to authenticate with; the endpoint wasn't called.
    Token,
}

/// An endpoint's answer, with secrets masked.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Its headers, to 8 KiB.
    pub headers: Headers,
    /// Its body, to 16 KiB.
    pub body: String,
    /// Whether there was more.
    pub truncated: bool,
}
