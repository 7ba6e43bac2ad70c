//! What an action sends.

use std::collections::BTreeSet;

use serde::Serialize;

use super::header::header_value;
use crate::expr::{Expr, JsonTemplate, MAX_NAME, Scope, Template};
use crate::json::Node;

/// Most fields of a body; as many as a record has properties.
pub const MAX_FIELDS: usize = 1_000;

/// Longest media type, in characters.
const MAX_MEDIA_TYPE: usize = 128;

/// The media type of a text body that names none.
const DEFAULT_MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// The body of an action's request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Everything known about the record.
    AllProperties,
    /// A flat object, in the given order.
    Properties {
        /// Its members; no name twice.
        fields: Vec<Field>,
    },
    /// Any JSON, with values filled in.
    Json {
        /// The JSON.
        template: JsonTemplate,
    },
    /// As an HTML form sends it.
    Form {
        /// Its fields; a name may come several times.
        fields: Vec<Field>,
    },
    /// A text of any media type.
    Text {
        /// The media type, e.g. `text/csv`.
        content_type: String,
        /// The text.
        template: Template,
    },
    /// Nothing.
    None,
}

/// A name that the user picked, and a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    name: String,
    value: Expr,
}

#[derive(Clone, Copy)]
enum Kind {
    AllProperties,
    Properties,
    Json,
    Form,
    Text,
    None,
}

impl Body {
    /// Reads `{"kind": …}` and what belongs to the kind.
    pub fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        let kind = node.tag(
            "kind",
            &[
                ("all_properties", Kind::AllProperties),
                ("properties", Kind::Properties),
                ("json", Kind::Json),
                ("form", Kind::Form),
                ("text", Kind::Text),
                ("none", Kind::None),
            ],
        )?;
        match kind {
            Kind::AllProperties => node.fields(&["kind"]).map(|_| Self::AllProperties),
            Kind::None => node.fields(&["kind"]).map(|_| Self::None),
            Kind::Properties => {
                let fields = node.fields(&["kind", "fields"])?;
                Some(Self::Properties { fields: fields.need("fields", |node| read_members(node, scope))? })
            }
            Kind::Form => {
                let fields = node.fields(&["kind", "fields"])?;
                let read = |node: Node<'_>| node.list(MAX_FIELDS, |item| Field::read(item, scope));
                Some(Self::Form { fields: fields.need("fields", read)? })
            }
            Kind::Json => {
                let fields = node.fields(&["kind", "template"])?;
                Some(Self::Json {
                    template: fields.need("template", |node| JsonTemplate::read(node, scope))?,
                })
            }
            Kind::Text => {
                let fields = node.fields(&["kind", "content_type", "template"])?;
                let content_type = fields.or("content_type", DEFAULT_MEDIA_TYPE.to_owned(), read_media_type);
                let template = fields.need("template", |node| Template::read(node, scope));
                Some(Self::Text { content_type: content_type?, template: template? })
            }
        }
    }
}

impl Field {
    /// Reads `{"name", "value": Expr}`.
    pub fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        let fields = node.fields(&["name", "value"])?;
        let name = fields.need("name", |node| node.text(1..=MAX_NAME).map(str::to_owned));
        let value = fields.need("value", |node| Expr::read(node, scope));
        Some(Self { name: name?, value: value? })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its value comes from.
    #[must_use]
    pub const fn value(&self) -> &Expr {
        &self.value
    }
}

/// Members of an object: a name twice would leave it to the receiver which one counts.
fn read_members(node: Node<'_>, scope: &Scope) -> Option<Vec<Field>> {
    let mut names = BTreeSet::new();
    node.list(MAX_FIELDS, |item| {
        let field = Field::read(item, scope)?;
        if !names.insert(field.name.clone()) {
            item.mistake_at("name", "another field has this name");
            return None;
        }
        Some(field)
    })
}

fn read_media_type(node: Node<'_>) -> Option<String> {
    let text = node.text(1..=MAX_MEDIA_TYPE)?;
    let (kind, rest) = text.split_once('/').unwrap_or_default();
    if kind.is_empty() || rest.is_empty() || !text.is_ascii() || header_value(text) != Ok(text) {
        node.mistake("expected a media type, e.g. `text/csv`");
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::Mistakes;

    fn read(value: &Value) -> Result<Body, Vec<String>> {
        let mistakes = Mistakes::default();
        let body = Body::read(Node::root(value, &mistakes), &Scope::default());
        mistakes.conclude(body).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn body_format_unchanged() {
        for text in [
            r#"{"kind":"all_properties"}"#,
            r#"{"kind":"none"}"#,
            r#"{"kind":"properties","fields":[]}"#,
            r#"{"kind":"properties","fields":[{"name":"E mail","value":{"property":"email"}},{"name":"b","value":{"static":null}}]}"#,
            r#"{"kind":"form","fields":[{"name":"a","value":{"now":"ms"}},{"name":"a","value":{"record":"id"}}]}"#,
            r#"{"kind":"json","template":{"b":["{{ properties.x }}",1],"a":null}}"#,
            r#"{"kind":"json","template":5}"#,
            r#"{"kind":"text","content_type":"text/csv; charset=utf-8","template":"a;{{ properties.x }}\n"}"#,
        ] {
            let body = read(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&body).unwrap(), text);
        }
        let text = read(&json!({"kind": "text", "template": "x"})).unwrap();
        assert_eq!(serde_json::to_value(text).unwrap()["content_type"], "text/plain; charset=utf-8");
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, mistakes) in [
            (json!({}), vec!["/kind: is required"]),
            (
                json!({"kind": "xml"}),
                vec![
                    "/kind: expected `all_properties`, `properties`, `json`, `form`, `text` or `none`, found \"xml\"",
                ],
            ),
            (json!({"kind": "none", "fields": []}), vec!["/fields: unknown field; known are `kind`"]),
            (json!({"kind": "properties"}), vec!["/fields: is required"]),
            (
                json!({"kind": "properties", "fields": [{"name": "a", "value": {"static": 1}}, {"name": "a", "value": {"static": 1}}]}),
                vec!["/fields/1/name: another field has this name"],
            ),
            (
                json!({"kind": "form", "fields": [{"name": "", "value": 1}, {"value": {"static": 1}}]}),
                vec![
                    "/fields/0/name: expected 1 to 256 characters, found 0",
                    "/fields/0/value: expected an object, found a number",
                    "/fields/1/name: is required",
                ],
            ),
            (json!({"kind": "json"}), vec!["/template: is required"]),
            (
                json!({"kind": "json", "template": {"a/b": ["\n{{ x"]}}),
                vec!["/template/a~1b/0: line 2: unexpected end of input, expected end of variable block"],
            ),
            (
                json!({"kind": "text", "template": 5, "content_type": "csv"}),
                vec![
                    "/content_type: expected a media type, e.g. `text/csv`",
                    "/template: expected a string, found a number",
                ],
            ),
        ] {
            assert_eq!(read(&value), Err(mistakes.into_iter().map(str::to_owned).collect()));
        }
        for media_type in ["/csv", "text/", " text/csv", "text/ü", "text/csv\n"] {
            assert!(
                read(&json!({"kind": "text", "template": "", "content_type": media_type})).is_err(),
                "{media_type:?}"
            );
        }
    }
}
