use schemars::JsonSchema;
use serde::Serialize;

use super::Ms;

/// How a replay gets its request.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayOne {
    /// Default `original`.
    pub render: Option<Render>,
}

/// Which request a replay sends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Render {
    /// The same again.
    Original,
    /// As the workflow says now.
    Current,
}

/// Which deliveries a bulk replay repeats.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayMany {
    /// Those that ended so.
    pub status: super::DeliveryStatus,
    /// Of this action only.
    pub action: Option<String>,
    /// Created at or after.
    pub since: Option<Ms>,
    /// Created before.
    pub until: Option<Ms>,
    /// Which request is sent; default `original`.
    pub render: Option<Render>,
    /// Counts, and sends nothing.
    pub dry_run: Option<bool>,
}

/// A bulk replay.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Its id; absent for a dry run.
    pub id: Option<String>,
    /// The workflow's id.
    pub workflow: Option<String>,
    /// How it stands.
    pub status: ReplayStatus,
    /// Deliveries that match.
    pub matched: u64,
    /// Deliveries repeated so far.
    pub replayed: u64,
    /// When it was asked for.
    pub created_at: Option<Ms>,
    /// When it ended.
    pub ended_at: Option<Ms>,
}

/// How a bulk replay stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Nothing is sent.
    DryRun,
    /// It goes on.
    Running,
    /// All is repeated.
    Completed,
    /// A person ended it.
    Canceled,
}
