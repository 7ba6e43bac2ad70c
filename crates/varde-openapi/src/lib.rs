//! The description of the HTTP API (`OpenAPI` 3.1), made from types.
//!
//! In scope: which calls there are, what they take and what they answer. Shapes that the core serializes
//! are the core's own; the others stand in [`shapes`], and the end-to-end tests hold every request and
//! every answer of theirs against the document. Out of scope: reading input, which the Worker does itself
//! so that it can name all mistakes at once.

mod calls;
mod describe;
pub mod shapes;

use serde_json::{Value, json};

use describe::Describer;

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut describer = Describer::default();
    let paths = calls::paths(&mut describer);
    let problems = describer.problems();
    let schemas = describer.into_schemas();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Varde",
            "summary": "Workflow webhooks with signatures and three days of retries",
            "description": INTRODUCTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": calls::tags(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The admin token of the deployment, or one made by `POST /v1/tokens`. What a call needs is in its `x-scope`: `read`, `enroll` or `admin`; `admin` may do everything.",
                },
            },
            "responses": problems,
            "schemas": schemas,
        },
    })
}

/// The document as it is served.
#[must_use]
pub fn text() -> String {
    let text = serde_json::to_string_pretty(&document());
    text.expect("invariant: a JSON value can be written") + "\n"
}

const INTRODUCTION: &str = "Times are Unix milliseconds. Errors are problem details (RFC 9457) with a stable `code`; \
invalid input is answered with all mistakes at once, each with its JSON Pointer. Unknown fields are mistakes. \
Lists are `{\"items\", \"next_cursor\"}`, and a page may be empty and still have a next one.";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every `$ref` in a value.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                    found.insert(target.to_owned());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_served_file_is_up_to_date() {
        let served = include_str!("../../../www/public/openapi.json");
        assert!(
            served == text(),
            "www/public/openapi.json is stale: cargo run -p varde-openapi > www/public/openapi.json"
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_lies_about_unused() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for target in &found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} isn't used");
        }
    }

    #[test]
    fn every_call_says_what_it_does_and_who_may_call_it() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, call) in item.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert!(ids.insert(call["operationId"].as_str().unwrap().to_owned()), "{name}: operationId");
                assert!(!call["summary"].as_str().unwrap().is_empty(), "{name}: summary");
                let open = call["security"] == json!([]);
                assert_eq!(call["x-scope"].is_null(), open, "{name}: a scope, or no security");
                assert!(
                    call["responses"].as_object().unwrap().keys().any(|status| status < &"400".to_owned()),
                    "{name}"
                );
                let in_path: BTreeSet<_> =
                    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
                let described: BTreeSet<_> = call["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str())
                    .collect();
                assert_eq!(in_path, described, "{name}: path parameters");
            }
        }
    }

    #[test]
    fn answers_have_no_fields_but_the_described_ones() {
        let document = document();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let has_fields = schema.get("properties").is_some();
            assert!(!has_fields || schema["additionalProperties"] == json!(false), "{name}");
        }
    }
}
