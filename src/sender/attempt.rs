//! One attempt: authenticate, call, classify, mask.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use varde_core::auth::{self, ApplyError, AttemptStamp};
use varde_core::endpoint_url::{EndpointUrl, Policy};
use varde_core::outcome::{Outcome, RetryAfter};
use varde_core::outputs::{self, Picked};
use varde_core::secret::{Mask, Secret, StoredSecret};
use varde_core::workflow::Action;

use super::Errand;
use super::fetch::{self, Answer, Failure};
use crate::ambient;
use crate::directory::WorkflowView;

/// Response headers that are stored, names and values together.
const MAX_STORED_HEADER_BYTES: usize = 8 * 1024;
/// Response body that is stored with an attempt.
const MAX_STORED_BODY_BYTES: usize = 16 * 1024;

/// How an attempt went.
pub struct Attempted {
    /// What it met.
    pub outcome: Outcome,
    /// How long it took.
    pub duration_ms: u64,
    /// What came back, masked.
    pub response: Option<StoredResponse>,
    /// What was picked from it, where the action has outputs.
    pub outputs: Option<StoredOutputs>,
}

/// Outputs as they are stored with a delivery.
#[derive(Debug, Serialize)]
pub struct StoredOutputs {
    /// Name to value.
    pub values: Map<String, Value>,
    /// Why some may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A response as it is stored with an attempt and shown to people: secret values masked, because endpoints
/// echo them.
#[derive(Debug, Serialize)]
pub struct StoredResponse {
    headers: BTreeMap<String, String>,
    body: String,
    truncated: bool,
}

/// Makes one attempt.
///
/// # Errors
/// When the request can't be authenticated; nothing was sent.
pub async fn make(
    errand: &Errand,
    view: &WorkflowView,
    secret: Option<&StoredSecret<Secret>>,
    rule: Policy,
) -> Result<Attempted, ApplyError> {
    let started = ambient::now();
    let stamp =
        AttemptStamp { delivery: errand.ticket.delivery, number: errand.ticket.attempt, now: started };
    let outgoing = auth::apply(
        &errand.terms.auth,
        &errand.request,
        secret.map(|secret| secret.in_force(started)),
        &stamp,
    )?;
    if EndpointUrl::parse(&outgoing.url, rule).is_err() {
        return Ok(Attempted { outcome: Outcome::Blocked, duration_ms: 0, response: None, outputs: None });
    }
    let result = fetch::call(&outgoing, errand.terms.timeout_ms).await;
    let duration_ms = ambient::now().since_ms(started);
    let answer = match result {
        Ok(answer) => answer,
        Err(Failure::Timeout) => {
            return Ok(Attempted { outcome: Outcome::Timeout, duration_ms, response: None, outputs: None });
        }
        Err(Failure::Connect) => {
            return Ok(Attempted { outcome: Outcome::Connect, duration_ms, response: None, outputs: None });
        }
    };
    let retry_after = answer.header("retry-after").and_then(RetryAfter::parse);
    let outcome = Outcome::Response { status: answer.status, retry_after };
    let declared =
        view.workflow.action(&errand.action).map(Action::outputs).filter(|outputs| !outputs.is_empty());
    let outputs = declared.map(|declared| {
        let Picked { values, note } = outputs::pick(declared, &answer.body.bytes);
        StoredOutputs { values, note: note.map(|note| note.to_string()) }
    });
    let mask = Mask::new(view.secrets.values().chain(secret).flat_map(StoredSecret::values));
    Ok(Attempted { outcome, duration_ms, response: Some(stored(&answer, &mask)), outputs })
}

fn stored(answer: &Answer, mask: &Mask) -> StoredResponse {
    let mut room = MAX_STORED_HEADER_BYTES;
    let mut headers = BTreeMap::new();
    for (name, value) in &answer.headers {
        room = room.saturating_sub(name.len() + value.len());
        if room == 0 {
            break;
        }
        headers.insert(name.clone(), mask.apply(value).into_owned());
    }
    let kept = &answer.body.bytes[..answer.body.bytes.len().min(MAX_STORED_BODY_BYTES)];
    let truncated = answer.body.truncated || kept.len() < answer.body.bytes.len();
    let text = String::from_utf8_lossy(kept);
    let body = if truncated { mask.apply_to_cut(&text) } else { mask.apply(&text) };
    StoredResponse { headers, body: body.into_owned(), truncated }
}
