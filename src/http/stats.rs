//! `GET …/stats`: the accounting identity over all shards.

use crate::directory;
use crate::http::call::Call;
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::outbox;
use crate::outbox_do::ledger::{ActionStats, Counts, Stats};
use crate::outbox_do::protocol::OutboxCall;

/// The numbers of all shards, and a line for each action even where nothing has happened yet.
pub async fn stats(call: &mut Call, id: &str) -> Result<Response, Problem> {
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let shards = 0..view.workflow.shards();
    let mut all = Stats::default();
    for shard in outbox::call_all::<Stats>(&call.env, &view.uid, shards, &OutboxCall::Stats {}).await? {
        all.merge(shard);
    }
    for action in view.workflow.actions() {
        let reason = view.controls.pause_reason(action.id()).map(str::to_owned);
        let state = if reason.is_some() { "paused" } else { "active" }.to_owned();
        all.actions.entry(action.id().clone()).or_insert_with(|| ActionStats {
            counts: Counts::default(),
            set_aside: 0,
            state,
            reason,
            breaker: None,
        });
    }
    Ok(Response::from_json(&all)?)
}
