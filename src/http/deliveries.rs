//! Deliveries: looked at, canceled.

use serde_json::Value;
use varde_core::ids::DeliveryId;

use crate::directory;
use crate::http::call::Call;
use crate::http::error::Problem;
use crate::http::listing;
use crate::http::response::Response;
use crate::outbox;
use crate::outbox_do::protocol::{CancelReply, OutboxCall};

/// `GET …/deliveries`.
pub async fn list(call: &mut Call, id: &str) -> Result<Response, Problem> {
    let known = ["status", "action", "record", "since", "until", "replay", "limit", "cursor"];
    listing::list(call, id, &known, &listing::DELIVERIES).await
}

/// `GET …/deliveries/{did}`.
pub async fn get(call: &mut Call, id: &str, delivery: &str) -> Result<Response, Problem> {
    let (view, delivery_id) = find(call, id, delivery).await?;
    show(call, &view.uid, delivery_id).await
}

/// `POST …/deliveries/{did}/cancel`: answers with the delivery as it then is.
pub async fn cancel(call: &mut Call, id: &str, delivery: &str) -> Result<Response, Problem> {
    let (view, delivery_id) = find(call, id, delivery).await?;
    let cancel = OutboxCall::Cancel { id: delivery_id };
    match outbox::call(&call.env, &view.uid, delivery_id.shard(), &cancel).await? {
        CancelReply::Canceled => show(call, &view.uid, delivery_id).await,
        CancelReply::Ended => {
            Err(Problem::conflict("delivery_ended", format!("delivery {delivery_id} has ended")))
        }
        CancelReply::Unknown => Err(Problem::not_found("delivery", delivery)),
    }
}

async fn find(
    call: &Call,
    id: &str,
    delivery: &str,
) -> Result<(std::rc::Rc<directory::WorkflowView>, DeliveryId), Problem> {
    let view = directory::workflow_by_id(&call.env, &call.config, id).await?;
    let delivery = delivery.parse().map_err(|_| Problem::not_found("delivery", delivery))?;
    Ok((view, delivery))
}

async fn show(call: &Call, uid: &str, id: DeliveryId) -> Result<Response, Problem> {
    let found: Option<Value> = outbox::call(&call.env, uid, id.shard(), &OutboxCall::Delivery { id }).await?;
    let found = found.ok_or_else(|| Problem::not_found("delivery", &id.to_string()))?;
    Ok(Response::from_json(&found)?)
}
