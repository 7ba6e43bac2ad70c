//! Replays: one delivery, or all of a kind in bulk.

use serde_json::{Map, Value, json};
use varde_core::ids::{DeliveryId, ReplayId};
use varde_core::json;
use varde_core::outputs::Outputs;
use varde_core::record::EnrollmentInput;
use varde_core::replay::{BulkReplay, Counts, Order, Phase, Progress, Rendering};
use varde_core::slug::Slug;

use crate::directory::{self, WorkflowView};
use crate::http::call::Call;
use crate::http::configuration::{ask, workflow_id};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::outbox_do::protocol::{Acknowledged, OutboxCall, Planned, Replay, ReplayReply, Story};
use crate::registry_do::protocol::{Broadcast, RegistryCall, StoredReplay};
use crate::{ambient, log, outbox, plan};

/// `POST …/deliveries/{did}/replay`: answers with the new delivery.
pub async fn replay(call: &mut Call, id: &str, delivery: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let body = call.optional_json().await?.unwrap_or_else(|| json!({}));
    let rendering = Rendering::parse(&body).map_err(Problem::invalid)?;
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let unknown = || Problem::not_found("delivery", delivery);
    let of: DeliveryId = delivery.parse().map_err(|_| unknown())?;
    let planned = match rendering {
        Rendering::Original => None,
        Rendering::Current => Some(render_again(call, &view, of).await?),
    };
    let new = DeliveryId::mint(ambient::now(), of.shard(), ambient::dice());
    let message = OutboxCall::Replay(Replay { of, id: new, planned });
    match outbox::call(&call.env, &view.uid, of.shard(), &message).await? {
        ReplayReply::Created => {
            let look_up = OutboxCall::Delivery { id: new };
            let shown: Option<Value> = outbox::call(&call.env, &view.uid, of.shard(), &look_up).await?;
            let shown = shown.ok_or_else(|| Problem::internal("a new delivery isn't there"))?;
            Ok(Response::from_json(&shown)?.with_status(202))
        }
        ReplayReply::Unknown => Err(unknown()),
        ReplayReply::StillOpen => Err(Problem::conflict(
            "delivery_open",
            format!("delivery {of} is still being tried; cancel it first, or wait"),
        )),
        ReplayReply::NothingToSend => Err(Problem::conflict(
            "nothing_to_send",
            format!("delivery {of} had nothing to send; `\"render\": \"current\"` renders it anew"),
        )),
        ReplayReply::TooMany => Err(Problem::conflict(
            "too_many_replays",
            format!("the enrollment of delivery {of} has been replayed too often"),
        )),
        ReplayReply::Full => Err(Problem::outbox_full()),
    }
}

/// The delivery's action as it is now, rendered with the record, the event and the outputs of then.
async fn render_again(call: &Call, view: &WorkflowView, of: DeliveryId) -> Result<Planned, Problem> {
    let message = OutboxCall::Story { id: of };
    let story: Option<Story> = outbox::call(&call.env, &view.uid, of.shard(), &message).await?;
    let story = story.ok_or_else(|| Problem::not_found("delivery", &of.to_string()))?;
    let action = view.workflow.actions().iter().find(|action| *action.id() == story.action);
    let action = action.ok_or_else(|| {
        let detail = format!("the workflow has no action `{}` any more", story.action);
        Problem::conflict("workflow_changed", detail)
    })?;
    let input: EnrollmentInput = json::from_text(story.input.get())?;
    let outputs: Outputs = json::from_text(story.outputs.get())?;
    let rule = call.config.url_rule;
    Ok(plan::plan(&view.workflow, action, &input, &outputs, ambient::now(), rule)?.0)
}

/// `POST /v1/workflows/{id}/replays`: ordered, and answered before it is done; or only counted.
pub async fn start(call: &mut Call, id: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let now = ambient::now();
    let order = Order::parse(&call.json().await?, now).map_err(Problem::invalid)?;
    let workflow = workflow_id(id)?;
    if order.dry_run {
        return dry_run(call, workflow, &order).await;
    }
    let bulk =
        BulkReplay { id: ReplayId::mint(now, 0, ambient::dice()), filter: order.filter, canceled: false };
    let message = RegistryCall::StartReplay { workflow, bulk };
    let stored: Option<StoredReplay> = ask(call, &message).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("workflow", id))?;
    tell(call, &stored).await;
    Ok(Response::from_json(&show(call, &stored).await?)?.with_status(202))
}

async fn dry_run(call: &Call, workflow: Slug, order: &Order) -> Result<Response, Problem> {
    let message = RegistryCall::Outboxes { workflow: workflow.clone() };
    let outboxes: Option<Broadcast> = ask(call, &message).await?;
    let outboxes = outboxes.ok_or_else(|| Problem::not_found("workflow", &workflow))?;
    let count = OutboxCall::CountReplayable(order.filter.clone());
    let counts: Vec<u64> =
        outbox::call_all(&call.env, &outboxes.uid, outboxes.shards.iter().copied(), &count).await?;
    let matched: u64 = counts.into_iter().sum();
    Ok(Response::from_json(&json!({"dry_run": true, "filter": order.filter, "matched": matched}))?)
}

/// `GET /v1/workflows/{id}/replays`: newest first.
pub async fn list(call: &mut Call, id: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let stored = stored_replays(call, id).await?;
    let items = show_all(call, &stored).await?;
    Ok(Response::from_json(&json!({"items": items, "next_cursor": null}))?)
}

/// `GET /v1/workflows/{id}/replays/{rid}`.
pub async fn get(call: &mut Call, id: &str, replay: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let stored = stored_replays(call, id).await?;
    let found = stored.into_iter().find(|stored| stored.bulk.id.to_string() == replay);
    let found = found.ok_or_else(|| Problem::not_found("replay", replay))?;
    Ok(Response::from_json(&show(call, &found).await?)?)
}

/// `POST /v1/workflows/{id}/replays/{rid}/cancel`: makes no more deliveries, and ends those of which nothing
/// was sent.
pub async fn cancel(call: &mut Call, id: &str, replay: &str) -> Result<Response, Problem> {
    call.known_query(&[])?;
    let unknown = || Problem::not_found("replay", replay);
    let replay_id: ReplayId = replay.parse().map_err(|_| unknown())?;
    let running = stored_replays(call, id).await?.into_iter().find(|stored| stored.bulk.id == replay_id);
    let now = show(call, &running.ok_or_else(unknown)?).await?;
    if now["status"] != "running" && now["open"] == 0 {
        return Err(Problem::conflict("replay_ended", format!("replay {replay_id} has ended")));
    }
    let message = RegistryCall::CancelReplay { workflow: workflow_id(id)?, id: replay_id };
    let stored: Option<StoredReplay> = ask(call, &message).await?;
    let stored = stored.ok_or_else(unknown)?;
    tell(call, &stored).await;
    Ok(Response::from_json(&show(call, &stored).await?)?)
}

async fn stored_replays(call: &Call, id: &str) -> Result<Vec<StoredReplay>, Problem> {
    let stored: Option<Vec<StoredReplay>> =
        ask(call, &RegistryCall::ListReplays { workflow: workflow_id(id)? }).await?;
    stored.ok_or_else(|| Problem::not_found("workflow", id))
}

/// Tells the outboxes. The order is stored, so what is missed here is the sweep's.
async fn tell(call: &Call, stored: &StoredReplay) {
    let message = OutboxCall::BulkReplay(stored.bulk.clone());
    let told: Result<Vec<Acknowledged>, _> =
        outbox::call_all(&call.env, &stored.uid, stored.shards.iter().copied(), &message).await;
    if told.is_err() {
        log::error_about("replay_not_everywhere", &stored.bulk.id.to_string(), &"left to the sweep");
    }
}

async fn show(call: &Call, stored: &StoredReplay) -> Result<Value, Problem> {
    let mut shown = show_all(call, std::slice::from_ref(stored)).await?;
    shown.pop().ok_or_else(|| Problem::internal("a replay can't be shown"))
}

/// Replays with what all shards have done of them.
async fn show_all(call: &Call, stored: &[StoredReplay]) -> Result<Vec<Value>, Problem> {
    let Some(first) = stored.first() else { return Ok(Vec::new()) };
    let shards: std::collections::BTreeSet<u8> =
        stored.iter().flat_map(|stored| stored.shards.iter().copied()).collect();
    let ids: Vec<ReplayId> = stored.iter().map(|stored| stored.bulk.id).collect();
    let message = OutboxCall::ReplayProgress { ids };
    let progress: Vec<Vec<Option<Progress>>> =
        outbox::call_all(&call.env, &first.uid, shards, &message).await?;
    Ok(stored
        .iter()
        .enumerate()
        .map(|(at, stored)| {
            let heard: Vec<&Progress> = progress.iter().filter_map(|shard| shard.get(at)?.as_ref()).collect();
            shown(stored, &heard)
        })
        .collect())
}

/// Running until every shard that it was ordered for has heard of it and is through.
fn shown(stored: &StoredReplay, heard: &[&Progress]) -> Value {
    let mut counts = Counts::default();
    for progress in heard {
        counts.add(&progress.counts);
    }
    let running =
        heard.len() < stored.shards.len() || heard.iter().any(|progress| progress.phase == Phase::Replaying);
    let status = match (stored.bulk.canceled, running) {
        (true, _) => "canceled",
        (false, true) => "running",
        (false, false) => "done",
    };
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(stored.bulk.id));
    shown.insert("status".to_owned(), json!(status));
    shown.insert("created_at".to_owned(), json!(stored.created_at));
    shown.insert("filter".to_owned(), json!(stored.bulk.filter));
    if let Value::Object(counts) = json!(counts) {
        shown.extend(counts);
    }
    shown.insert("open".to_owned(), json!(counts.open()));
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use varde_core::replay::{Ended, Filter};
    use varde_core::time::UnixMs;

    use super::*;

    fn stored(shards: Vec<u8>, canceled: bool) -> StoredReplay {
        let filter = Filter { status: Ended::Exhausted, action: None, since: None, until: UnixMs(9) };
        let bulk = BulkReplay { id: ReplayId::mint(UnixMs(9), 0, 1), filter, canceled };
        StoredReplay { uid: "u".to_owned(), bulk, shards, created_at: UnixMs(9) }
    }

    #[test]
    fn is_running_until_all_shards_are_through() {
        let one = stored(vec![0, 1], false);
        let through = Progress::begin(one.bulk.clone(), 0);
        let busy = Progress::begin(one.bulk.clone(), 3);
        let status = |stored: &StoredReplay, heard: &[&Progress]| shown(stored, heard)["status"].clone();
        assert_eq!(status(&one, &[]), "running");
        assert_eq!(status(&one, &[&through]), "running", "one hasn't heard yet");
        assert_eq!(status(&one, &[&through, &busy]), "running");
        assert_eq!(status(&one, &[&through, &through]), "done");
        assert_eq!(status(&stored(vec![0], true), &[&busy]), "canceled");
        assert_eq!(status(&stored(vec![], false), &[]), "done", "nothing was ever enrolled");
    }

    #[test]
    fn answer_format_unchanged() {
        let one = stored(vec![0, 1], false);
        let busy = Progress::begin(one.bulk.clone(), 3);
        let expected = format!(
            r#"{{"id":"{}","status":"running","created_at":9,"filter":{{"status":"exhausted","until":9}},"matched":6,"replayed":0,"skipped":0,"delivered":0,"rejected":0,"exhausted":0,"canceled":0,"open":0}}"#,
            one.bulk.id
        );
        assert_eq!(shown(&one, &[&busy, &busy]).to_string(), expected);
    }
}
