//! Workflows of other systems, made into drafts.

use varde_core::import::hubspot;

use crate::http::call::{Call, MAX_BATCH_BODY_BYTES};
use crate::http::error::Problem;
use crate::http::response::Response;

/// `POST /v1/import/hubspot`: answers with drafts and with what has no counterpart here; stores nothing.
pub async fn hubspot(call: &mut Call) -> Result<Response, Problem> {
    call.known_query(&[])?;
    // As large as a batch, because it is one: up to 100 workflows.
    let body = call.json_within(MAX_BATCH_BODY_BYTES).await?;
    let import = hubspot::import(&body, call.config.url_rule).map_err(Problem::invalid)?;
    Ok(Response::from_json(&import)?)
}
