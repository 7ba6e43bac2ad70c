//! A `WEBHOOK` action made into one of ours.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::flow::{Step, id_of};
use super::{NamedSecret, quoted};
use crate::endpoint_url::Policy;
use crate::expr::MAX_NAME;
use crate::json::Mistake;
use crate::outputs;
use crate::workflow::Action;

/// HubSpot's own report of how an action went; it isn't in the response.
const EXECUTION_STATE: &str = "hs_execution_state";

/// An action in the making.
pub(super) struct Draft {
    id: String,
    document: Map<String, Value>,
    outputs: Vec<Output>,
    secret: Option<NamedSecret>,
}

/// A field of a response that later actions use.
#[derive(Clone, PartialEq)]
pub(super) struct Output {
    name: String,
    key: String,
}

/// A use of an earlier action's output.
pub(super) struct Reference {
    /// Its place among the drafts before.
    pub(super) action: usize,
    pub(super) output: Output,
}

impl Draft {
    /// Parameters are the body's fields where the method has a body; without any, HubSpot sends all
    /// properties.
    pub(super) fn new(
        id: &str,
        step: &Step<'_>,
        auth: Value,
        secret: Option<NamedSecret>,
        fields: Vec<Value>,
    ) -> Self {
        let method = step.text("method").unwrap_or_default();
        let mut document = Map::new();
        let mut set = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        set("id", json!(id));
        set("type", json!("webhook"));
        set("method", json!(method));
        set("url", json!(step.text("webhookUrl").unwrap_or_default()));
        set("auth", auth);
        match method {
            "GET" | "DELETE" => set("query", Value::Array(fields)),
            _ if fields.is_empty() && step.parameters().is_empty() => {
                set("body", json!({"kind": "all_properties"}));
            }
            _ => set("body", json!({"kind": "properties", "fields": fields})),
        }
        Self { id: id.to_owned(), document, outputs: Vec::new(), secret }
    }

    /// Reads it as if it were sent to us.
    pub(super) fn check(&self, policy: Policy) -> Result<(), Vec<Mistake>> {
        // In HubSpot braces in a URL are braces.
        if self.document.get("url").and_then(Value::as_str).is_some_and(|url| url.contains("{{")) {
            let message = "values in a URL are written otherwise here".to_owned();
            return Err(vec![Mistake { pointer: "/url".to_owned(), message }]);
        }
        Action::parse_draft(&self.to_json(), policy).map(drop)
    }

    pub(super) const fn secret(&self) -> Option<&NamedSecret> {
        self.secret.as_ref()
    }

    pub(super) fn declare(&mut self, output: Output) {
        if !self.outputs.contains(&output) {
            self.outputs.push(output);
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut document = self.document.clone();
        if !self.outputs.is_empty() {
            let outputs = self.outputs.iter().map(|output| {
                // RFC 6901, section 3.
                let key = output.key.replace('~', "~0").replace('/', "~1");
                json!({"name": output.name, "pointer": format!("/{key}"), "type": "json"})
            });
            document.insert("outputs".to_owned(), outputs.collect());
        }
        Value::Object(document)
    }
}

/// The fields of an action, the outputs that they use, and what can't be said.
pub(super) fn fields(
    step: &Step<'_>,
    earlier: &[(Draft, &Step<'_>)],
) -> (Vec<Value>, Vec<Reference>, Vec<String>) {
    let (mut fields, mut used, mut unsaid) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for parameter in step.parameters() {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let value = if !fits(name) {
            Err("its name is empty, too long, or holds control characters".to_owned())
        } else if names.contains(name) {
            Err("another field has this name".to_owned())
        } else {
            value(parameter.get("value").unwrap_or(&Value::Null), earlier, &mut used)
        };
        match value {
            Ok(value) => {
                names.insert(name);
                fields.push(json!({"name": name, "value": value}));
            }
            Err(reason) => unsaid.push(format!("`{}`: {reason}", quoted(name))),
        }
    }
    (fields, used, unsaid)
}

/// One value as an expression of ours.
fn value(value: &Value, earlier: &[(Draft, &Step<'_>)], used: &mut Vec<Reference>) -> Result<Value, String> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).filter(|text| fits(text));
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "OBJECT_PROPERTY" => {
            let name = text("propertyName").ok_or("it names no property")?;
            Ok(json!({"property": name}))
        }
        "STATIC_VALUE" => fixed(value.get("staticValue")),
        "FIELD_DATA" => field_data(value, earlier, used),
        "TIMESTAMP" => match text("timestampType") {
            Some("EXECUTION_TIME") | None => Ok(json!({"now": "ms"})),
            Some(other) => Err(format!("the time `{}` isn't known", quoted(other))),
        },
        "ENROLLMENT_EVENT_PROPERTY" => {
            let token = text("enrollmentEventPropertyToken").ok_or("it names no property of the event")?;
            Ok(json!({"event": event_name(token)}))
        }
        "FETCHED_OBJECT_PROPERTY" => {
            Err("records that are associated aren't known; send the value in the `event`".to_owned())
        }
        "RELATIVE_DATETIME" => Err("times aren't calculated; send the value in the `event`".to_owned()),
        "INCREMENT" | "APPEND_OBJECT_PROPERTY" | "STATIC_APPEND_VALUE" => {
            Err(format!("`{kind}` changes a property, and says nothing that can be sent"))
        }
        other => Err(format!("values of type `{}` aren't known", quoted(other))),
    }
}

fn fixed(value: Option<&Value>) -> Result<Value, String> {
    match value {
        // It would be sent as it stands.
        Some(Value::String(text)) if text.contains("{{") => {
            Err("HubSpot's tokens in a text aren't known; write it as a `template`".to_owned())
        }
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => Ok(json!({"static": value})),
        _ => Err("it has no value".to_owned()),
    }
}

fn field_data(
    value: &Value,
    earlier: &[(Draft, &Step<'_>)],
    used: &mut Vec<Reference>,
) -> Result<Value, String> {
    let id = value.get("actionId").and_then(id_of).unwrap_or_default();
    let key = value.get("dataKey").and_then(Value::as_str).filter(|key| fits(key));
    let key = key.ok_or("it names no field of a response")?;
    if key == EXECUTION_STATE {
        return Err("how an action went isn't in its response".to_owned());
    }
    let action = earlier.iter().position(|(_, step)| step.id() == id);
    let Some((action, (draft, _))) = action.and_then(|at| Some((at, earlier.get(at)?))) else {
        return Err(format!("action `{}` isn't an earlier webhook of this draft", quoted(&id)));
    };
    let pending =
        used.iter().filter(|reference| reference.action == action).map(|reference| &reference.output);
    let known: Vec<&Output> = draft.outputs.iter().chain(pending).collect();
    let output = match known.iter().find(|output| output.key == key) {
        Some(output) => (*output).clone(),
        None if known.len() >= outputs::MAX_OUTPUTS => {
            return Err(format!(
                "action `{}` would have more than {} outputs",
                quoted(&id),
                outputs::MAX_OUTPUTS
            ));
        }
        None => Output { name: output_name(key, &known), key: key.to_owned() },
    };
    let expr = json!({"output": format!("{}.{}", draft.id, output.name)});
    used.push(Reference { action, output });
    Ok(expr)
}

/// A name for an output that looks like its key and is no other's.
fn output_name(key: &str, known: &[&Output]) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
    // Room for a number.
    let base: String = key.chars().map(legal).take(outputs::MAX_NAME - 4).collect();
    let mut name = base.clone();
    let mut number = 1_u32;
    while known.iter().any(|output| output.name == name) {
        number += 1;
        name = format!("{base}_{number}");
    }
    name
}

/// `{{ enrollment_event.order_no }}` names `order_no`; anything else is a name as it stands.
fn event_name(token: &str) -> &str {
    let inner = token.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
    let name = inner.and_then(|path| path.split_once('.')).map(|(_, name)| name);
    name.filter(|name| fits(name)).unwrap_or(token)
}

/// Whether a text can be a name here.
fn fits(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
