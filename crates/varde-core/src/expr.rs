//! Values that an action takes from what it knows: properties, the event, outputs, the time.
//!
//! ```
//! use varde_core::expr::{Expr, Scope};
//! use varde_core::json::{Mistakes, Node};
//!
//! let value = serde_json::json!({"template": "Bearer {{ outputs.login.token }}"});
//! let mut scope = Scope::default();
//! let read = |scope: &Scope| {
//!     let mistakes = Mistakes::default();
//!     let expr = Expr::read(Node::root(&value, &mistakes), scope);
//!     mistakes.conclude(expr)
//! };
//!
//! let mistakes = read(&scope).unwrap_err();
//! assert_eq!(mistakes[0].pointer, "/template");
//! assert_eq!(mistakes[0].message, "output `login.token` isn't declared by an earlier action");
//!
//! scope.declare("login", "token");
//! assert!(read(&scope).is_ok());
//! ```

mod engine;
mod evaluator;
mod json_template;
mod scan;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json::Node;
use crate::outputs::Outputs;
use crate::record::Record;
use crate::time::UnixMs;
use crate::workflow::ObjectType;

pub use evaluator::{EvalError, Evaluator, text};
pub use json_template::JsonTemplate;
pub use template::{Template, TemplateError};

/// Longest name of a property, event field or parameter, in characters; HubSpot's own names end at 100.
pub const MAX_NAME: usize = 256;

/// Longest source of a text with `{{ }}` in it, in bytes; texts without may be longer.
pub const MAX_TEMPLATE: usize = 16 * 1_024;

/// Most words and signs in one `{{ }}` or `{% %}`: the engine recurses along an expression, and a chain of
/// some 2,000 signs takes the whole of a 1 MiB stack.
pub const MAX_WORDS: usize = 250;

/// Most `{% %}` in a template: each may nest a value one level deeper, and values are freed recursively.
pub const MAX_STATEMENTS: usize = 250;

/// Fuel for all templates of one request: one unit is one instruction or 64 bytes of data, so a request
/// costs at most some 10 ms of CPU, the whole allowance of a Worker on the free plan. (Comparing or joining
/// values that were built to share their parts can cost more: whoever writes such templates harms nobody
/// but the owner of the Worker.)
pub const MAX_FUEL: u64 = 100_000;

/// Most bytes that all templates of one request produce together; the limit of the body itself.
pub const MAX_TEMPLATE_OUTPUT: usize = 1_024 * 1_024;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A property of the record; `null` counts as unset.
    Property(String),
    /// A field of the event; `null` counts as unset.
    Event(String),
    /// What an earlier action picked from its response.
    Output {
        /// Id of the action.
        action: String,
        /// Name of the output.
        name: String,
    },
    /// Something about the record itself.
    Record(RecordField),
    /// When the request was rendered.
    Now(NowFormat),
    /// The same value always.
    Static(Value),
    /// A text with `{{ }}` in it; one that is a whole `{{ expr }}` keeps the type of its value.
    Template(Template),
}

/// What an [`Expr`] can say about the record itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecordField {
    /// Its id, as a string.
    Id,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NowFormat {
    /// Unix milliseconds, a number.
    Ms,
    /// `2026-01-02T03:04:05.678Z`.
    Iso8601,
}

/// All that the values of one request can be taken from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What kind of record it is; decides the shape of an `all_properties` body.
    pub object_type: &'a ObjectType,
    /// The enrolled record.
    pub record: &'a Record,
    /// The data that came with the trigger.
    pub event: Option<&'a Map<String, Value>>,
    /// What the enrollment's earlier actions picked from their responses.
    pub outputs: &'a Outputs,
    /// The time of rendering.
    pub now: UnixMs,
}

/// Which outputs the values of an action may use: those that earlier actions declare.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    known: BTreeMap<String, BTreeSet<String>>,
    anything: bool,
}

impl Scope {
    /// The scope of an action that is tried out by itself: any output may be used, and is missing at the
    /// time of rendering if the test doesn't bring it.
    #[must_use]
    pub fn draft() -> Self {
        Self { anything: true, ..Self::default() }
    }

    /// Adds an output for the actions that follow.
    pub fn declare(&mut self, action: &str, name: &str) {
        self.known.entry(action.to_owned()).or_default().insert(name.to_owned());
    }

    fn check(&self, action: &str, name: &str) -> Result<(), TemplateError> {
        if self.anything || self.known.get(action).is_some_and(|names| names.contains(name)) {
            return Ok(());
        }
        Err(TemplateError::UndeclaredOutput { action: action.to_owned(), name: name.to_owned() })
    }
}

const KINDS: [&str; 7] = ["property", "event", "output", "record", "now", "static", "template"];

impl Expr {
    /// Reads `{"property": …}` or one of its siblings.
    pub fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        let members = node.object()?;
        let mut entries = node.entries()?;
        let (Some((kind, inner)), None) = (entries.next(), entries.next()) else {
            let kinds = KINDS.join("`, `");
            node.mistake(format_args!(
                "expected an object with exactly one of `{kinds}`, found {} fields",
                members.len()
            ));
            return None;
        };
        Some(match kind.as_str() {
            "property" => Self::Property(inner.text(1..=MAX_NAME)?.to_owned()),
            "event" => Self::Event(inner.text(1..=MAX_NAME)?.to_owned()),
            "output" => Self::read_output(inner, scope)?,
            "record" => Self::Record(inner.word(&[("id", RecordField::Id)])?),
            "now" => Self::Now(inner.word(&[("ms", NowFormat::Ms), ("iso8601", NowFormat::Iso8601)])?),
            "static" => Self::Static(inner.value().clone()),
            "template" => Self::Template(Template::read(inner, scope)?),
            _ => {
                inner.mistake(format_args!("unknown source of values; known are `{}`", KINDS.join("`, `")));
                return None;
            }
        })
    }

    fn read_output(node: Node<'_>, scope: &Scope) -> Option<Self> {
        // Action ids hold no dot, so the first one ends the id.
        let Some((action, name)) = node.string()?.split_once('.') else {
            node.mistake("expected `<action id>.<output name>`");
            return None;
        };
        match scope.check(action, name) {
            Ok(()) => Some(Self::Output { action: action.to_owned(), name: name.to_owned() }),
            Err(mistake) => {
                node.mistake(mistake);
                None
            }
        }
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Property(name) => map.serialize_entry("property", name)?,
            Self::Event(name) => map.serialize_entry("event", name)?,
            Self::Output { action, name } => {
                map.serialize_entry("output", &format_args!("{action}.{name}"))?;
            }
            Self::Record(field) => map.serialize_entry("record", field)?,
            Self::Now(format) => map.serialize_entry("now", format)?,
            Self::Static(value) => map.serialize_entry("static", value)?,
            Self::Template(template) => map.serialize_entry("template", template)?,
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::Mistakes;

    fn read(value: &Value, scope: &Scope) -> Result<Expr, Vec<String>> {
        let mistakes = Mistakes::default();
        let expr = Expr::read(Node::root(value, &mistakes), scope);
        mistakes.conclude(expr).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.declare("create-order", "order_id");
        scope
    }

    #[test]
    fn reads_and_writes_every_kind() {
        for value in [
            json!({"property": "email"}),
            json!({"event": "order_no"}),
            json!({"output": "create-order.order_id"}),
            json!({"record": "id"}),
            json!({"now": "ms"}),
            json!({"now": "iso8601"}),
            json!({"static": {"a": [1, null, {"property": "not an expr"}]}}),
            json!({"static": null}),
            json!({"template": "plain"}),
            json!({"template": "{{ properties.email }}"}),
            json!({"template": "a {{ outputs[\"create-order\"].order_id }} b"}),
        ] {
            let expr = read(&value, &scope()).unwrap();
            assert_eq!(serde_json::to_value(&expr).unwrap(), value);
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (value, mistake) in [
            (json!("email"), ": expected an object, found a string"),
            (
                json!({}),
                ": expected an object with exactly one of `property`, `event`, `output`, `record`, `now`, `static`, `template`, found 0 fields",
            ),
            (
                json!({"property": "a", "event": "b"}),
                ": expected an object with exactly one of `property`, `event`, `output`, `record`, `now`, `static`, `template`, found 2 fields",
            ),
            (
                json!({"prop": "a"}),
                "/prop: unknown source of values; known are `property`, `event`, `output`, `record`, `now`, `static`, `template`",
            ),
            (json!({"property": ""}), "/property: expected 1 to 256 characters, found 0"),
            (json!({"event": 5}), "/event: expected a string, found a number"),
            (json!({"record": "name"}), "/record: expected `id`, found \"name\""),
            (json!({"now": "s"}), "/now: expected `ms` or `iso8601`, found \"s\""),
            (json!({"output": "order_id"}), "/output: expected `<action id>.<output name>`"),
            (
                json!({"output": "create-order.other"}),
                "/output: output `create-order.other` isn't declared by an earlier action",
            ),
            (
                json!({"output": "other.order_id"}),
                "/output: output `other.order_id` isn't declared by an earlier action",
            ),
            (
                json!({"template": "{{ a"}),
                "/template: line 1: unexpected end of input, expected end of variable block",
            ),
        ] {
            assert_eq!(read(&value, &scope()), Err(vec![mistake.to_owned()]));
        }
    }

    #[test]
    fn a_draft_may_use_any_output() {
        assert!(read(&json!({"output": "x.y"}), &Scope::draft()).is_ok());
        assert!(read(&json!({"template": "{{ outputs.x.y }}"}), &Scope::draft()).is_ok());
    }
}
