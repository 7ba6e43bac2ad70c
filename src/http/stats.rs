//! `GET …/stats`: the accounting identity over all shards.

use futures_util::future::join_all;
use worker::Response;

use crate::directory;
use crate::http::call::Call;
use crate::http::error::Problem;
use crate::outbox;
use crate::outbox_do::ledger::{ActionStats, Counts, Stats};
use crate::outbox_do::protocol::OutboxCall;

/// The numbers of all shards, and a line for each action even where nothing has happened yet.
pub async fn stats(call: &mut Call, id: &str) -> Result<Response, Problem> {
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let (env, uid) = (&call.env, &view.uid);
    let asked = (0..view.workflow.shards())
        .map(|shard| async move { outbox::call::<Stats>(env, uid, shard, &OutboxCall::Stats {}).await });
    let mut all = Stats::default();
    for shard in join_all(asked).await {
        all.merge(shard?);
    }
    for action in view.workflow.actions() {
        let reason = view.controls.pause_reason(action.id()).map(str::to_owned);
        let state = if reason.is_some() { "paused" } else { "active" }.to_owned();
        all.actions.entry(action.id().clone()).or_insert_with(|| ActionStats {
            counts: Counts::default(),
            state,
            reason,
            breaker: None,
        });
    }
    Ok(Response::from_json(&all)?)
}
