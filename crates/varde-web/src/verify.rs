//! Signatures, and the requests that people paste.

use serde::Serialize;
use serde_json::Value;
use varde_core::paste;
use varde_core::signature::doctor::{Check, Diagnosis, Question, Verdict};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::call::{answer, call, json};
use crate::failure::Failure;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("verify.d.ts");

/// Checks a request with every scheme whose signature it carries.
///
/// # Errors
///
/// Throws a `VardeError` when the input can't be read.
#[wasm_bindgen(unchecked_return_type = "Verified")]
pub fn verify(
    #[wasm_bindgen(unchecked_param_type = "SignatureQuestion | string")] input: &JsValue,
) -> Result<JsValue, JsValue> {
    call(input, verified)
}

/// Checks a request, and says why its signatures aren't accepted.
///
/// # Errors
///
/// Throws a `VardeError` when the input can't be read.
#[wasm_bindgen(unchecked_return_type = "Explained")]
pub fn explain(
    #[wasm_bindgen(unchecked_param_type = "SignatureQuestion | string")] input: &JsValue,
) -> Result<JsValue, JsValue> {
    call(input, explained)
}

/// Reads a pasted raw HTTP request, curl command or HAR entry.
///
/// # Errors
///
/// Throws a `VardeError` with its `line` and `column` when the text can't be read.
#[wasm_bindgen(unchecked_return_type = "Pasted")]
pub fn parse_request(text: &str) -> Result<JsValue, JsValue> {
    answer(paste::parse(text).map(|pasted| json(&pasted)).map_err(Failure::from))
}

fn verified(input: &Value) -> Result<Value, Failure> {
    #[derive(Serialize)]
    struct Verified {
        valid: bool,
        checks: Vec<Check>,
    }
    let checks = Question::parse(input)?.verify();
    Ok(json(&Verified { valid: all_valid(&checks), checks }))
}

fn explained(input: &Value) -> Result<Value, Failure> {
    #[derive(Serialize)]
    struct Explained {
        valid: bool,
        #[serde(flatten)]
        diagnosis: Diagnosis,
    }
    let diagnosis = Question::parse(input)?.diagnose();
    Ok(json(&Explained { valid: all_valid(&diagnosis.checks), diagnosis }))
}

/// No signature at all is not a valid one.
fn all_valid(checks: &[Check]) -> bool {
    !checks.is_empty() && checks.iter().all(|check| check.verdict == Verdict::Valid)
}
