//! What an action would send and when, and whether a workflow can be saved.

use serde::Serialize;
use serde_json::Value;
use varde_core::endpoint_url::Policy;
use varde_core::json::{Mistakes, Node};
use varde_core::preview::Draft;
use varde_core::schedule::{Planned, RetryPolicy};
use varde_core::time::UnixMs;
use varde_core::workflow::{Action, Workflow, read_retry};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::call::{call, json};
use crate::failure::Failure;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("preview.d.ts");

/// Latest time that JavaScript's `Date` knows, in Unix milliseconds.
const MAX_TIME: u64 = 8_640_000_000_000_000;

/// Renders what an action would send, with placeholders for secrets.
///
/// # Errors
///
/// Throws a `VardeError` when the input can't be read, or when nothing could be sent.
#[wasm_bindgen(unchecked_return_type = "Preview")]
pub fn preview(
    #[wasm_bindgen(unchecked_param_type = "PreviewInput | string")] input: &JsValue,
) -> Result<JsValue, JsValue> {
    call(input, |input| Ok(json(&Draft::parse(input)?.preview()?)))
}

/// Writes a retry policy out as a list of times.
///
/// # Errors
///
/// Throws a `VardeError` when the input can't be read.
#[wasm_bindgen(unchecked_return_type = "Schedule")]
pub fn schedule(
    #[wasm_bindgen(unchecked_param_type = "ScheduleInput | string")] input: &JsValue,
) -> Result<JsValue, JsValue> {
    call(input, scheduled)
}

/// Checks a workflow and returns it with all defaults filled in. URLs of the developer's own machine pass
/// here; whether a Worker may call them is the Worker's to say.
///
/// # Errors
///
/// Throws a `VardeError` with all mistakes.
#[wasm_bindgen(unchecked_return_type = "Json")]
pub fn validate_workflow(
    #[wasm_bindgen(unchecked_param_type = "Json")] input: &JsValue,
) -> Result<JsValue, JsValue> {
    call(input, |input| Ok(Workflow::parse(input, Policy::WITH_LOOPBACK)?.to_json()))
}

/// Checks a single action, which may use any output, and returns it with all defaults filled in.
///
/// # Errors
///
/// Throws a `VardeError` with all mistakes.
#[wasm_bindgen(unchecked_return_type = "Json")]
pub fn validate_action(
    #[wasm_bindgen(unchecked_param_type = "Json")] input: &JsValue,
) -> Result<JsValue, JsValue> {
    call(input, |input| Ok(Action::parse_draft(input, Policy::WITH_LOOPBACK)?.to_json()))
}

fn scheduled(input: &Value) -> Result<Value, Failure> {
    #[derive(Serialize)]
    struct Schedule {
        retry: RetryPolicy,
        retries: Vec<Planned>,
        window_ends: UnixMs,
    }
    let mistakes = Mistakes::default();
    let read = read_schedule(Node::root(input, &mistakes));
    let (retry, first_attempt) = mistakes.conclude(read)?;
    let retries = retry.plan(first_attempt);
    Ok(json(&Schedule { window_ends: retry.window_ends(first_attempt), retry, retries }))
}

fn read_schedule(node: Node<'_>) -> Option<(RetryPolicy, UnixMs)> {
    let fields = node.fields(&["retry", "first_attempt"])?;
    let retry = fields.or("retry", RetryPolicy::default(), read_retry);
    let first_attempt = fields.or("first_attempt", 0, |node| node.integer(0..=MAX_TIME));
    Some((retry?, UnixMs(first_attempt?)))
}
