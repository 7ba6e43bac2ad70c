//! From JavaScript to the core and back.

use js_sys::{Error, JSON, Reflect};
use serde::Serialize;
use serde_json::Value;
use wasm_bindgen::{JsError, JsValue, UnwrapThrowExt as _};

use crate::failure::Failure;

/// Answers a call with an input of JSON: a JavaScript value, or its text.
pub(crate) fn call(
    input: &JsValue,
    ask: impl FnOnce(&Value) -> Result<Value, Failure>,
) -> Result<JsValue, JsValue> {
    let text = match input.as_string() {
        Some(text) => text,
        // `undefined` and functions have no JSON.
        None => JSON::stringify(input)?.as_string().ok_or_else(|| JsError::new("the input has no JSON"))?,
    };
    answer(varde_core::json::parse(text.as_bytes()).map_err(Failure::from).and_then(|value| ask(&value)))
}

/// Returns a result, or throws.
pub(crate) fn answer(answer: Result<Value, Failure>) -> Result<JsValue, JsValue> {
    match answer {
        Ok(result) => JSON::parse(&result.to_string()),
        Err(failure) => Err(thrown(&failure)),
    }
}

/// The JSON of a result.
pub(crate) fn json(result: &impl Serialize) -> Value {
    serde_json::to_value(result).expect_throw("invariant: results hold nothing that JSON can't")
}

fn thrown(failure: &Failure) -> JsValue {
    let error = Error::new(&failure.message);
    let set = |name: &str, value: &JsValue| {
        Reflect::set(&error, &name.into(), value).expect_throw("invariant: an Error takes properties");
    };
    set("code", &failure.code.into());
    if !failure.errors.is_empty() {
        let errors = json(&failure.errors).to_string();
        set("errors", &JSON::parse(&errors).expect_throw("invariant: serde_json writes JSON"));
    }
    if let Some((line, column)) = failure.place {
        set("line", &line.into());
        set("column", &column.into());
    }
    error.into()
}
