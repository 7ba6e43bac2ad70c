//! What the calls about configuration share: asking the registry, telling outboxes, pages of lists.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use varde_core::slug::Slug;

use crate::http::call::{Call, MAX_PAGE};
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::registry_do::protocol::{Broadcast, Page, PageQuery, RegistryCall};
use crate::{log, registry};

/// The id of a workflow in a path; one that can't be an id is nobody's.
pub fn workflow_id(id: &str) -> Result<Slug, Problem> {
    id.parse().map_err(|_| Problem::not_found("workflow", id))
}

/// Asks the registry.
pub async fn ask<Reply: DeserializeOwned>(call: &Call, message: &RegistryCall) -> Result<Reply, Problem> {
    registry::call(&call.env, message).await.map_err(|error| {
        log::error("registry_unreachable", &error);
        let detail =
            "the registry gave no answer; a change may or may not be stored, so look, or repeat the call";
        Problem::unavailable("registry_unreachable", detail)
    })
}

/// Brings controls that are stored to all outboxes.
pub async fn push(call: &Call, broadcast: &Broadcast) -> Result<(), Problem> {
    registry::push(&call.env, broadcast).await.map_err(|missed| {
        log::error("controls_not_everywhere", &missed);
        let detail = format!(
            "the change is stored, but {} of {} outboxes didn't acknowledge it; the sweep brings it to them within \
             minutes, or repeat the call",
            missed.missed, missed.all
        );
        Problem::unavailable("controls_not_everywhere", detail)
    })
}

/// Which page a caller wants: `?limit=&cursor=`.
pub fn page_query(call: &Call) -> Result<PageQuery, Problem> {
    call.known_query(&["limit", "cursor"])?;
    let limit = call.limit(MAX_PAGE)?;
    Ok(PageQuery { after: call.query("cursor"), limit })
}

/// The answer to a list call.
pub fn list<T, Shown: Serialize>(
    page: Page<T>,
    show: impl Fn(T) -> Result<Shown, Problem>,
) -> Result<Response, Problem> {
    let items = page.items.into_iter().map(show).collect::<Result<Vec<_>, _>>()?;
    Ok(Response::from_json(&json!({"items": items, "next_cursor": page.next}))?)
}

/// An answer with a body: 201 for what is new, 200 otherwise.
pub fn stored(created: bool, body: &impl Serialize) -> Result<Response, Problem> {
    Ok(Response::from_json(body)?.with_status(if created { 201 } else { 200 }))
}

/// An answer that shows a key once: nobody on the way may keep it.
pub fn shown_once(created: bool, body: &impl Serialize) -> Result<Response, Problem> {
    Ok(stored(created, body)?.with_header("cache-control", "no-store"))
}

/// 204.
pub const fn gone() -> Response {
    Response::empty(204)
}
