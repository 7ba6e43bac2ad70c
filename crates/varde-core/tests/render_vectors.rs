//! Rendering, from the outside: what an action makes of a record, byte for byte.
#![expect(clippy::unwrap_used, reason = "a vector file that has another shape fails the test")]

use serde_json::{Value, json};
use varde_core::endpoint_url::Policy;
use varde_core::expr::Context;
use varde_core::outputs::Outputs;
use varde_core::record::EnrollmentInput;
use varde_core::render::{Unsendable, render};
use varde_core::request::{Method, Request};
use varde_core::time::UnixMs;
use varde_core::workflow::{Action, ObjectType};

const VECTORS: &str = include_str!("../../../tests/vectors/render.json");

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let vectors = file["vectors"].as_array().unwrap().clone();
    assert!(vectors.len() >= 30, "only {} vectors", vectors.len());
    vectors
}

/// Renders a vector's action from its JSON, or from the JSON that the action writes of itself.
fn rendered(vector: &Value, action: &Value) -> Result<Request, Unsendable> {
    let action = Action::parse_draft(action, Policy::PUBLIC).unwrap();
    let object_type: ObjectType = vector["object_type"].as_str().unwrap().parse().unwrap();
    let mut input = json!({"record": vector["record"]});
    if let Some(event) = vector.get("event") {
        input["event"] = event.clone();
    }
    let input = EnrollmentInput::parse(&input).unwrap();
    let outputs = vector.get("outputs").map_or_else(Outputs::default, |given| Outputs::parse(given).unwrap());
    let context = Context {
        object_type: &object_type,
        record: input.record(),
        event: input.event(),
        outputs: &outputs,
        now: UnixMs(vector["now"].as_u64().unwrap()),
    };
    render(&action, &context, Policy::PUBLIC)
}

fn as_json(outcome: Result<Request, Unsendable>) -> Value {
    match outcome {
        Ok(Request { method, url, headers, body }) => {
            let version = env!("CARGO_PKG_VERSION");
            let headers: Vec<_> = headers
                .into_iter()
                .map(|(name, value)| json!([name, value.replace(version, "{version}")]))
                .collect();
            json!({"method": method.as_str(), "url": url, "headers": headers, "body": body})
        }
        Err(reason) => Value::from(reason.code()),
    }
}

#[test]
fn renders_every_vector() {
    for vector in vectors() {
        let expected = vector.get("request").or(vector.get("error")).unwrap();
        assert_eq!(&as_json(rendered(&vector, &vector["action"])), expected, "{}", vector["id"]);
    }
}

#[test]
fn the_canonical_form_of_an_action_renders_the_same() {
    for vector in vectors() {
        let canonical = Action::parse_draft(&vector["action"], Policy::PUBLIC).unwrap().to_json();
        assert_eq!(rendered(&vector, &canonical), rendered(&vector, &vector["action"]), "{}", vector["id"]);
    }
}

#[test]
fn the_vectors_cover_what_there_is() {
    let vectors = vectors();
    let methods = vectors.iter().map(|vector| vector["action"]["method"].as_str().unwrap());
    let methods: Vec<_> = methods.collect();
    for method in Method::ALL {
        assert!(methods.contains(&method.as_str()), "{method}");
    }
    let kinds: Vec<_> =
        vectors.iter().filter_map(|vector| vector["action"]["body"]["kind"].as_str()).collect();
    for kind in ["all_properties", "properties", "json", "form", "text", "none"] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    let codes: Vec<_> = vectors.iter().filter_map(|vector| vector["error"].as_str()).collect();
    for code in ["missing_output", "blocked_url", "request_too_large", "template_failed", "invalid_header"] {
        assert!(codes.contains(&code), "{code}");
    }
}

#[test]
fn a_request_reads_back_as_it_was_stored() {
    for vector in vectors() {
        if let Ok(request) = rendered(&vector, &vector["action"]) {
            let stored = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&stored).unwrap(), request, "{}", vector["id"]);
        }
    }
}
