//! Fields picked from a response, for the actions that follow.
//!
//! ```
//! use varde_core::json::{Mistakes, Node};
//! use varde_core::outputs::{Output, pick};
//!
//! let value = serde_json::json!({"name": "order_id", "pointer": "/order/id", "type": "string"});
//! let mistakes = Mistakes::default();
//! let output = Output::read(Node::root(&value, &mistakes)).unwrap();
//!
//! let picked = pick(&[output], br#"{"order": {"id": 1234}}"#);
//! assert_eq!(picked.values["order_id"], "1234");
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{self, Mistake, Mistakes, Node};
use crate::slug::Slug;

/// Most outputs of one action; as many as it may have headers.
pub const MAX_OUTPUTS: usize = 50;

/// Most bytes, as JSON, that the outputs of one action have together: they are stored in the row of
/// their enrollment, beside those of 19 other actions, and a row ends at 2 MB.
pub const MAX_BYTES: usize = 64 * 1_024;

/// Longest name of an output, in characters.
pub const MAX_NAME: usize = 64;

/// Longest pointer, in characters; longer than any real response is deep.
pub(crate) const MAX_POINTER: usize = 512;

/// A field to pick from a response.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Output {
    name: String,
    pointer: String,
    #[serde(rename = "type")]
    kind: OutputType,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
}

/// What an output is made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// A string; numbers and booleans become their text.
    String,
    /// A number; a string that is one in JSON's spelling becomes it.
    Number,
    /// A boolean; `"true"` and `"false"` become them.
    Boolean,
    /// Whatever is there.
    Json,
}

impl Output {
    /// Reads `{"name", "pointer", "type", "default"?}`.
    pub fn read(node: Node<'_>) -> Option<Self> {
        let fields = node.fields(&["name", "pointer", "type", "default"])?;
        let name = fields.need("name", |node| {
            let name = node.text(1..=MAX_NAME)?;
            if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
                return Some(name.to_owned());
            }
            node.mistake("expected letters, digits, `_`, `-` and `.` only");
            None
        });
        let pointer = fields.need("pointer", |node| {
            let pointer = node.text(0..=MAX_POINTER)?;
            if is_pointer(pointer) {
                return Some(pointer.to_owned());
            }
            node.mistake("expected a JSON Pointer, e.g. `/order/id` (RFC 6901)");
            None
        });
        let kind = fields.need("type", |node| {
            node.word(&[
                ("string", OutputType::String),
                ("number", OutputType::Number),
                ("boolean", OutputType::Boolean),
                ("json", OutputType::Json),
            ])
        });
        let default = fields.maybe("default", |node| {
            let Some(kind) = kind else { return Some(node.value().clone()) };
            if kind.includes(node.value()) || node.value().is_null() {
                return Some(node.value().clone());
            }
            node.mistake("expected a value of the output's type, or null");
            None
        });
        Some(Self { name: name?, pointer: pointer?, kind: kind?, default: default? })
    }

    /// The name that later actions use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is in the response: a JSON Pointer.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What it is made into.
    #[must_use]
    pub const fn kind(&self) -> OutputType {
        self.kind
    }

    /// What it is when it isn't in the response.
    #[must_use]
    pub const fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }
}

impl OutputType {
    /// Makes a value of this type out of what the response holds, if it can be one.
    fn convert(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Json, any) => Some(any.clone()),
            (kind, value) if kind.includes(value) => Some(value.clone()),
            (Self::String, Value::Number(_) | Value::Bool(_)) => Some(Value::String(value.to_string())),
            (Self::Number | Self::Boolean, Value::String(text)) => {
                json::from_text(text).ok().filter(|value| self.includes(value))
            }
            _ => None,
        }
    }

    fn includes(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Json => true,
        }
    }
}

pub(crate) fn is_pointer(text: &str) -> bool {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    escapes_are_whole && (text.is_empty() || text.starts_with('/'))
}

/// What the actions of an enrollment have picked so far: `{action: {name: value}}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outputs(BTreeMap<Slug, Map<String, Value>>);

impl Outputs {
    /// Reads outputs that somebody made up, for a test.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let outputs = Self::read(Node::root(value, &mistakes));
        mistakes.conclude(outputs)
    }

    /// Reads `{action: {name: value}}`.
    pub fn read(node: Node<'_>) -> Option<Self> {
        let read: Vec<_> = node
            .entries()?
            .map(|(action, values)| {
                let slug = action.parse::<Slug>();
                if let Err(reason) = &slug {
                    values.mistake(format_args!("not an action's id: {reason}"));
                }
                Some((slug.ok()?, values.object()?.clone()))
            })
            .collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }

    /// Adds what an action picked.
    pub fn insert(&mut self, action: Slug, values: Map<String, Value>) {
        self.0.insert(action, values);
    }

    /// Sets one output.
    pub fn set(&mut self, action: &Slug, name: &str, value: Value) {
        self.0.entry(action.clone()).or_default().insert(name.to_owned(), value);
    }

    /// One output, if it is there.
    #[must_use]
    pub fn value(&self, action: &str, name: &str) -> Option<&Value> {
        self.0.get(action)?.get(name)
    }

    /// The outputs of each action, by its id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Slug, &Map<String, Value>)> {
        self.0.iter()
    }

    /// Whether no action has picked anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What was picked from one response.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picked {
    /// The outputs that are there, defaults included, in the order declared.
    pub values: Map<String, Value>,
    /// What people should know about it.
    pub note: Option<Note>,
}

/// Why outputs may be missing though the response came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// The body isn't JSON, or nested too deep.
    #[error("the response isn't JSON that can be read: {reason}")]
    NotJson {
        /// What the parser says.
        reason: String,
    },
    /// The body is JSON, but not an object.
    #[error("the response must be a JSON object for outputs to be picked from it")]
    NotAnObject,
    /// Some outputs were left out.
    #[error("the outputs of an action may have at most {MAX_BYTES} bytes together; left out: {names}")]
    TooLarge {
        /// The names of those left out.
        names: String,
    },
}

impl Note {
    /// Stable slug for people and programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "response_not_json",
            Self::NotAnObject => "response_not_an_object",
            Self::TooLarge { .. } => "outputs_too_large",
        }
    }
}

/// Picks the declared outputs from the body of a response. One that isn't there, or can't be made into
/// its type, takes its default; without one it is absent.
#[must_use]
pub fn pick(declared: &[Output], body: &[u8]) -> Picked {
    if declared.is_empty() {
        return Picked::default();
    }
    let (response, mut note) = match json::parse_foreign(body) {
        Ok(response @ Value::Object(_)) => (response, None),
        Ok(_) => (Value::Null, Some(Note::NotAnObject)),
        Err(reason) => (Value::Null, Some(Note::NotJson { reason: reason.to_string() })),
    };
    let mut values = Map::new();
    let mut left_out = Vec::new();
    let mut bytes_left = MAX_BYTES;
    for output in declared {
        let found = response.as_object().and_then(|_| response.pointer(&output.pointer));
        let found = found.and_then(|value| output.kind.convert(value));
        let Some(value) = found.or_else(|| output.default.clone()) else { continue };
        match bytes_left.checked_sub(value.to_string().len()) {
            Some(rest) => {
                bytes_left = rest;
                values.insert(output.name.clone(), value);
            }
            None => left_out.push(output.name.as_str()),
        }
    }
    if !left_out.is_empty() {
        note = Some(Note::TooLarge { names: left_out.join(", ") });
    }
    Picked { values, note }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;

    fn read(value: &Value) -> Result<Output, Vec<String>> {
        let mistakes = Mistakes::default();
        let output = Output::read(Node::root(value, &mistakes));
        mistakes.conclude(output).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    fn output(kind: &str, pointer: &str, default: Option<Value>) -> Output {
        let mut value = json!({"name": "x", "pointer": pointer, "type": kind});
        if let Some(default) = default {
            value["default"] = default;
        }
        read(&value).unwrap()
    }

    fn picked(output: Output, response: &Value) -> Option<Value> {
        pick(&[output], response.to_string().as_bytes()).values.get("x").cloned()
    }

    #[test]
    fn output_format_unchanged() {
        for text in [
            r#"{"name":"order_id","pointer":"/order/id","type":"string"}"#,
            r#"{"name":"a.b-c","pointer":"/~0/~1/0","type":"number","default":1.5}"#,
            r#"{"name":"x","pointer":"","type":"json","default":{"a":1}}"#,
            r#"{"name":"x","pointer":"/","type":"boolean","default":null}"#,
        ] {
            assert_eq!(
                serde_json::to_string(&read(&serde_json::from_str(text).unwrap()).unwrap()).unwrap(),
                text
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, mistakes) in [
            (json!({}), vec!["/name: is required", "/pointer: is required", "/type: is required"]),
            (
                json!({"name": "a b", "pointer": "/a", "type": "string"}),
                vec!["/name: expected letters, digits, `_`, `-` and `.` only"],
            ),
            (
                json!({"name": "", "pointer": "/a", "type": "string"}),
                vec!["/name: expected 1 to 64 characters, found 0"],
            ),
            (
                json!({"name": "a", "pointer": "a", "type": "string"}),
                vec!["/pointer: expected a JSON Pointer, e.g. `/order/id` (RFC 6901)"],
            ),
            (
                json!({"name": "a", "pointer": "/~2", "type": "string"}),
                vec!["/pointer: expected a JSON Pointer, e.g. `/order/id` (RFC 6901)"],
            ),
            (
                json!({"name": "a", "pointer": "/~", "type": "string"}),
                vec!["/pointer: expected a JSON Pointer, e.g. `/order/id` (RFC 6901)"],
            ),
            (
                json!({"name": "a", "pointer": "/a", "type": "text"}),
                vec!["/type: expected `string`, `number`, `boolean` or `json`, found \"text\""],
            ),
            (
                json!({"name": "a", "pointer": "/a", "type": "number", "default": "1"}),
                vec!["/default: expected a value of the output's type, or null"],
            ),
        ] {
            assert_eq!(read(&value), Err(mistakes.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn values_are_made_into_their_type() {
        for (kind, found, made) in [
            ("string", json!("a"), Some(json!("a"))),
            ("string", json!(12), Some(json!("12"))),
            ("string", json!(1.5), Some(json!("1.5"))),
            ("string", json!(true), Some(json!("true"))),
            ("string", json!(null), None),
            ("string", json!({}), None),
            ("string", json!([1]), None),
            ("number", json!(12), Some(json!(12))),
            ("number", json!("12"), Some(json!(12))),
            ("number", json!("-1.5e3"), Some(json!(-1500.0))),
            ("number", json!("0x10"), None),
            ("number", json!("12 apples"), None),
            ("number", json!(""), None),
            ("number", json!("true"), None),
            ("number", json!(true), None),
            ("boolean", json!(false), Some(json!(false))),
            ("boolean", json!("true"), Some(json!(true))),
            ("boolean", json!("yes"), None),
            ("boolean", json!(1), None),
            ("json", json!({"a": [1]}), Some(json!({"a": [1]}))),
            ("json", json!(null), Some(json!(null))),
        ] {
            let response = json!({"v": found});
            assert_eq!(picked(output(kind, "/v", None), &response), made, "{kind} {found}");
            let with_default = picked(output(kind, "/v", Some(json!(null))), &response);
            assert_eq!(with_default, Some(made.unwrap_or(json!(null))), "{kind} {found}");
        }
    }

    #[test]
    fn pointers_reach_anywhere() {
        let response = json!({"order": {"lines": [{"id": 7}], "a/b~c": 1}, "": 2});
        for (pointer, found) in [
            ("/order/lines/0/id", Some(json!(7))),
            ("/order/a~1b~0c", Some(json!(1))),
            ("/", Some(json!(2))),
            ("", Some(response.clone())),
            ("/order/lines/1/id", None),
            ("/order/lines/-", None),
            ("/nope", None),
        ] {
            assert_eq!(picked(output("json", pointer, None), &response), found, "{pointer}");
        }
    }

    #[test]
    fn a_response_that_is_no_object_leaves_the_defaults_and_a_note() {
        for (body, code) in [
            ("", "response_not_json"),
            ("<html>", "response_not_json"),
            ("{\"a\":", "response_not_json"),
            ("[1]", "response_not_an_object"),
            ("\"x\"", "response_not_an_object"),
            ("null", "response_not_an_object"),
        ] {
            let declared = [output("string", "", Some(json!("d")))];
            let picked = pick(&declared, body.as_bytes());
            assert_eq!(picked.values.get("x"), Some(&json!("d")), "{body}");
            assert_eq!(picked.note.unwrap().code(), code, "{body}");
        }
        assert_eq!(pick(&[], b"<html>"), Picked::default());
        assert_eq!(pick(&[output("json", "/a", None)], b"{\"a\": 1, \"a\": 2}").values["x"], json!(2));
    }

    #[test]
    fn large_outputs_are_left_out() {
        let named = |name: &str, pointer: &str| {
            read(&json!({"name": name, "pointer": pointer, "type": "json"})).unwrap()
        };
        let declared = [named("big", "/big"), named("bigger", "/big"), named("small", "/small")];
        let response = json!({"big": "x".repeat(40_000), "small": 1}).to_string();
        let picked = pick(&declared, response.as_bytes());
        assert_eq!(picked.values.keys().collect::<Vec<_>>(), ["big", "small"]);
        assert_eq!(picked.note, Some(Note::TooLarge { names: "bigger".to_owned() }));
    }

    #[test]
    fn outputs_format_unchanged() {
        let text = r#"{"create-order":{"order_id":7},"login":{"token":"t","ttl":null}}"#;
        let outputs = Outputs::parse(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&outputs).unwrap(), text);
        assert_eq!(serde_json::from_str::<Outputs>(text).unwrap(), outputs);
        assert_eq!(outputs.value("create-order", "order_id"), Some(&json!(7)));
        assert_eq!(outputs.value("login", "ttl"), Some(&json!(null)));
        assert_eq!(outputs.value("login", "nope").or(outputs.value("nope", "token")), None);
        let mistakes = Outputs::parse(&json!({"A": {}, "b": 1})).unwrap_err();
        assert_eq!(mistakes.iter().map(|m| m.pointer.as_str()).collect::<Vec<_>>(), ["/A", "/b"]);
    }

    proptest! {
        #[test]
        fn any_response_is_taken(response in json_value(), kind in "string|number|boolean|json", pointer in "(/[a-z0-9~01]{0,3}){0,3}") {
            prop_assume!(is_pointer(&pointer));
            let output = output(&kind, &pointer, None);
            let outcome = pick(core::slice::from_ref(&output), response.to_string().as_bytes());
            if let Some(value) = outcome.values.get("x") {
                prop_assert!(output.kind.includes(value));
            }
            prop_assert_eq!(outcome.note.is_some(), !response.is_object());
        }
    }
}
