//! From an action and the values at hand to a delivery that the outbox can store.

use serde_json::value::to_raw_value;
use varde_core::endpoint_url::Policy;
use varde_core::enrollment;
use varde_core::expr::Context;
use varde_core::outputs::Outputs;
use varde_core::record::EnrollmentInput;
use varde_core::render;
use varde_core::request::Request;
use varde_core::time::UnixMs;
use varde_core::workflow::{Action, Ordering, Workflow};

use crate::outbox_do::protocol::{Plan, Planned, Terms};

/// Largest request as JSON, in which a quote takes two bytes and a control character six: a row ends at
/// 2 MB, and the delivery's end with its response and outputs must fit beside it.
const MAX_STORED_REQUEST_BYTES: usize = 1_700_000;

/// Renders the action's request; one that can't be sent is a plan, too, with its reason. Gives back the
/// request beside its stored form, so that a first attempt needn't read it again.
///
/// # Errors
/// When the request can't be serialised.
pub fn plan(
    workflow: &Workflow,
    action: &Action,
    input: &EnrollmentInput,
    outputs: &Outputs,
    now: UnixMs,
    rule: Policy,
) -> serde_json::Result<(Planned, Option<Request>)> {
    let values = Context {
        object_type: workflow.object_type(),
        record: input.record(),
        event: input.event(),
        outputs: &enrollment::outputs_for(workflow, action, outputs),
        now,
    };
    let ordered = workflow.ordering() == Ordering::Record;
    let planned = |plan| Planned { action: action.id().clone(), plan, ordered };
    match render::render(action, &values, rule) {
        Ok(request) => {
            let terms = Terms {
                timeout_ms: action.timeout_ms(),
                auth: action.auth().clone(),
                retry: action.retry().clone(),
            };
            let stored = to_raw_value(&request)?;
            if stored.get().len() > MAX_STORED_REQUEST_BYTES {
                let plan = Plan::Unsendable { reason: "request_too_large".to_owned() };
                return Ok((planned(plan), None));
            }
            let plan = Plan::Send { terms, request: stored };
            Ok((planned(plan), Some(request)))
        }
        Err(unsendable) => {
            let reason = unsendable.code().to_owned();
            Ok((planned(Plan::Unsendable { reason }), None))
        }
    }
}

/// The first step of an enrollment: as [`plan`], with no outputs yet.
///
/// # Errors
/// When the request can't be serialised.
pub fn plan_first(
    workflow: &Workflow,
    input: &EnrollmentInput,
    now: UnixMs,
    rule: Policy,
) -> serde_json::Result<(Planned, Option<Request>)> {
    plan(workflow, workflow.first_action(), input, &Outputs::default(), now, rule)
}
