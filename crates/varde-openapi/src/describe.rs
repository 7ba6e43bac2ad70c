//! Builds the parts of an `OpenAPI` document.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::shapes::Problem;

/// Collects the schemas that calls refer to.
pub(crate) struct Describer {
    generator: SchemaGenerator,
    problems: BTreeMap<String, Value>,
}

impl Default for Describer {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { generator: settings.into_generator(), problems: BTreeMap::new() }
    }
}

impl Describer {
    /// A reference to the schema of a type.
    pub(crate) fn schema<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// The name of the answer that is a problem with a status.
    fn problem(&mut self, status: u16) -> String {
        let name = format!("Problem{status}");
        let content = json!({"application/problem+json": {"schema": self.schema::<Problem>()}});
        self.problems.insert(name.clone(), json!({"description": reason(status), "content": content}));
        name
    }

    /// All problems that were referred to, by name.
    pub(crate) fn problems(&self) -> Value {
        json!(self.problems)
    }

    /// All schemas that were referred to, by name.
    pub(crate) fn into_schemas(mut self) -> Map<String, Value> {
        let mut schemas = self.generator.take_definitions(true);
        schemas.values_mut().for_each(tidy);
        schemas.sort_keys();
        schemas
    }
}

/// Two rules that hold for all shapes: what isn't described isn't there, and what isn't required is absent
/// rather than null, unless it says `x-nullable`.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(members) => {
            members.values_mut().for_each(tidy);
            if let Some(Value::String(description)) = members.get_mut("description") {
                // Links lead within the source.
                *description = description.replace("[`", "`").replace("`]", "`");
            }
            let required: Vec<Value> =
                members.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) else {
                return;
            };
            for (name, property) in properties {
                let nullable =
                    property.as_object_mut().and_then(|property| property.shift_remove("x-nullable"));
                if nullable.is_none() && !required.iter().any(|required| required == name) {
                    never_null(property);
                }
            }
            members.entry("additionalProperties").or_insert(json!(false));
        }
        _ => {}
    }
}

fn never_null(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(types) = members.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(words) = members.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    if let Some(choices) = members.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            members.shift_remove("anyOf");
            members.extend(only);
        }
    }
}

/// Who may make a call.
#[derive(Clone, Copy)]
pub(crate) enum Needs {
    Nothing,
    Read,
    Enroll,
    Admin,
}

/// One call.
pub(crate) struct Call(Map<String, Value>);

impl Call {
    pub(crate) fn new(id: &str, tag: &str, needs: Needs, summary: &str) -> Self {
        let mut call = Map::new();
        call.insert("operationId".to_owned(), json!(id));
        call.insert("tags".to_owned(), json!([tag]));
        call.insert("summary".to_owned(), json!(summary));
        let scope = match needs {
            Needs::Nothing => None,
            Needs::Read => Some("read"),
            Needs::Enroll => Some("enroll"),
            Needs::Admin => Some("admin"),
        };
        match scope {
            Some(scope) => call.insert("x-scope".to_owned(), json!(scope)),
            None => call.insert("security".to_owned(), json!([])),
        };
        call.insert("parameters".to_owned(), json!([]));
        call.insert("responses".to_owned(), json!({}));
        Self(call)
    }

    fn push(mut self, parameter: Value) -> Self {
        if let Some(parameters) = self.0.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.push(parameter);
        }
        self
    }

    fn path(self, name: &str, description: &str) -> Self {
        self.push(json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": {"type": "string", "minLength": 1},
        }))
    }

    /// The parameters in a path, by their names.
    pub(crate) fn at(self, path: &str) -> Self {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.fold(self, |call, name| {
            let description = match name {
                "workflow" => "Id of the workflow: a slug that you pick.",
                "action" => "Id of an action of the workflow.",
                "enrollment" => "Id of an enrollment, `enr_…`.",
                "delivery" => "Id of a delivery, `dlv_…`; the `webhook-id` of its requests.",
                "trigger" => "Id of an inbound trigger.",
                "replay" => "Id of a bulk replay.",
                "secret" => "Name of the secret: a slug that you pick.",
                "token" => "Id of the token, not the token itself.",
                "bin" => "Id of the request bin.",
                _ => "",
            };
            call.path(name, description)
        })
    }

    pub(crate) fn query(self, name: &str, schema: Value, description: &str) -> Self {
        let mut parameter =
            json!({"name": name, "in": "query", "required": false, "description": description});
        parameter["schema"] = schema;
        self.push(parameter)
    }

    pub(crate) fn header(self, name: &str, description: &str) -> Self {
        let schema = json!({"type": "string"});
        self.push(json!({"name": name, "in": "header", "required": false, "description": description, "schema": schema}))
    }

    /// `?limit=&cursor=`.
    pub(crate) fn paged(self) -> Self {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 100});
        self.query("limit", limit, "Most items on the page.").query(
            "cursor",
            json!({"type": "string"}),
            "The `next_cursor` of the page before.",
        )
    }

    pub(crate) fn takes(mut self, required: bool, schema: Value) -> Self {
        let mut body = json!({"required": required, "content": {"application/json": {}}});
        body["content"]["application/json"]["schema"] = schema;
        self.0.insert("requestBody".to_owned(), body);
        self
    }

    pub(crate) fn answers(mut self, status: u16, description: &str, schema: Option<Value>) -> Self {
        let mut response = Map::new();
        response.insert("description".to_owned(), json!(description));
        if let Some(schema) = schema {
            response.insert("content".to_owned(), json!({"application/json": {"schema": schema}}));
        }
        self.respond(&status.to_string(), Value::Object(response));
        self
    }

    pub(crate) fn answers_text(mut self, status: u16, description: &str, media_type: &str) -> Self {
        let content = json!({media_type: {"schema": {"type": "string"}}});
        self.respond(&status.to_string(), json!({"description": description, "content": content}));
        self
    }

    /// Problems, besides those that every call can have.
    pub(crate) fn refuses(mut self, describer: &mut Describer, statuses: &[u16]) -> Self {
        let authorized = self.0.get("x-scope").is_some();
        let reads_body = self.0.contains_key("requestBody");
        let mut all: Vec<u16> = statuses.to_vec();
        all.extend(if authorized { &[401, 403, 429][..] } else { &[] });
        all.extend(if reads_body { &[400, 413, 415, 422][..] } else { &[] });
        all.extend([500, 503]);
        all.sort_unstable();
        all.dedup();
        for status in all {
            let name = describer.problem(status);
            self.respond(&status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        }
        self
    }

    fn respond(&mut self, status: &str, response: Value) {
        if let Some(responses) = self.0.get_mut("responses").and_then(Value::as_object_mut) {
            responses.insert(status.to_owned(), response);
        }
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "The body isn't JSON, or is nested too deep.",
        401 => "A valid token is needed.",
        403 => "The token's scope is too small.",
        404 => "There is no such thing.",
        409 => "It conflicts with what is there.",
        413 => "The body is too large.",
        415 => "The body isn't declared as JSON.",
        422 => "The input is invalid; `errors` names every mistake.",
        429 => "Too much at once, or too many wrong tokens: come back after `Retry-After`.",
        503 => "A part of Varde can't be reached; repeat the call after `Retry-After`.",
        _ => "Something went wrong on our side; the cause is in the Worker's log.",
    }
}
