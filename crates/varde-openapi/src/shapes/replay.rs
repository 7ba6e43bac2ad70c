use schemars::JsonSchema;
use serde::Serialize;
use varde_core::replay::Ended;

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
    pub status: Ended,
    /// Of this action only.
    pub action: Option<String>,
    /// Created at or after.
    pub since: Option<Ms>,
    /// Created before; default now, and never later.
    pub until: Option<Ms>,
    /// Counts, and sends nothing.
    pub dry_run: Option<bool>,
}

/// Which deliveries a bulk replay takes.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayFilter {
    /// Those that ended so.
    pub status: Ended,
    /// Of this action only.
    pub action: Option<String>,
    /// Created at or after.
    pub since: Option<Ms>,
    /// Created before.
    pub until: Ms,
}

/// What a bulk replay would take.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRun {
    /// Always true.
    #[schemars(extend("const" = true))]
    pub dry_run: bool,
    /// Which deliveries it would take.
    pub filter: ReplayFilter,
    /// How many there are.
    pub matched: u64,
}

/// A bulk replay.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub status: ReplayStatus,
    /// When it was asked for.
    pub created_at: Ms,
    /// Which deliveries it takes.
    pub filter: ReplayFilter,
    /// Deliveries that the filter found when it began.
    pub matched: u64,
    /// New deliveries made.
    pub replayed: u64,
    /// Old deliveries left out: replayed before, gone since, or with nothing to send.
    pub skipped: u64,
    /// How many of the new ones arrived.
    pub delivered: u64,
    /// How many were refused for good.
    pub rejected: u64,
    /// How many used up their window.
    pub exhausted: u64,
    /// How many were canceled.
    pub canceled: u64,
    /// How many haven't ended.
    pub open: u64,
}

/// How a bulk replay stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// It goes on.
    Running,
    /// All are repeated; some of the new deliveries may still be open.
    Done,
    /// A person stopped it.
    Canceled,
}
