//! JSON whose strings may be templates.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{EvalError, Evaluator, Scope, Template};
use crate::json::Node;

/// Any JSON; a string in it may hold `{{ }}`, and one that is a whole `{{ expr }}` gives way to the value,
/// type and all. Keys and everything else are literal.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonTemplate(Tree);

#[derive(Debug, Clone, PartialEq)]
enum Tree {
    /// A part without templates, whatever its shape.
    Literal(Value),
    Template(Template),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl JsonTemplate {
    /// Reads any JSON and checks the templates in it.
    pub fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        Tree::read(node, scope).map(Self)
    }

    /// The JSON with all values filled in.
    ///
    /// # Errors
    ///
    /// A missing output, or a template that fails.
    pub fn evaluate(&self, evaluator: &mut Evaluator<'_>) -> Result<Value, EvalError> {
        self.0.evaluate(evaluator)
    }
}

impl Tree {
    fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        match node.value() {
            Value::String(_) => {
                let template = Template::read(node, scope)?;
                Some(if template.is_plain() {
                    Self::Literal(node.value().clone())
                } else {
                    Self::Template(template)
                })
            }
            Value::Array(_) => {
                let items = node.list(usize::MAX, |item| Self::read(item, scope))?;
                Some(if items.iter().all(Self::is_literal) {
                    Self::Literal(node.value().clone())
                } else {
                    Self::Array(items)
                })
            }
            Value::Object(_) => {
                let members = node.entries()?.map(|(key, item)| (key, Self::read(item, scope)));
                // All of them are read before the first failure ends it, so that all mistakes are found.
                let members: Vec<_> = members.collect();
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(key, item)| Some((key.clone(), item?)))
                    .collect::<Option<_>>()?;
                Some(if members.iter().all(|(_, item)| item.is_literal()) {
                    Self::Literal(node.value().clone())
                } else {
                    Self::Object(members)
                })
            }
            other => Some(Self::Literal(other.clone())),
        }
    }

    const fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    fn evaluate(&self, evaluator: &mut Evaluator<'_>) -> Result<Value, EvalError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Template(template) => evaluator.template_value(template),
            Self::Array(items) => {
                items.iter().map(|item| item.evaluate(evaluator)).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Object(members) => members
                .iter()
                .map(|(key, item)| Ok((key.clone(), item.evaluate(evaluator)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }
}

impl Serialize for JsonTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Literal(value) => value.serialize(serializer),
            Self::Template(template) => template.serialize(serializer),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(key, item)| (key, item))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;
    use crate::expr::Context;
    use crate::json::Mistakes;
    use crate::outputs::Outputs;
    use crate::record::EnrollmentInput;
    use crate::time::UnixMs;
    use crate::workflow::ObjectType;

    fn read(value: &Value) -> Result<JsonTemplate, Vec<String>> {
        let mistakes = Mistakes::default();
        let template = JsonTemplate::read(Node::root(value, &mistakes), &Scope::default());
        mistakes.conclude(template).map_err(|list| list.iter().map(ToString::to_string).collect())
    }

    fn filled(template: &JsonTemplate) -> Value {
        let input = json!({"record": {"id": "9", "properties": {"age": 42, "name": "Zoë", "tags": ["a"]}}});
        let input = EnrollmentInput::parse(&input).unwrap();
        let context = Context {
            object_type: &ObjectType::Deal,
            record: input.record(),
            event: input.event(),
            outputs: &Outputs::default(),
            now: UnixMs(0),
        };
        template.evaluate(&mut Evaluator::new(context)).unwrap()
    }

    #[test]
    fn fills_strings_at_any_depth() {
        let value = json!({
            "a": {"b": ["{{ properties.age }}", "Hi {{ properties.name }}", 5, null]},
            "tags": "{{ properties.tags }}",
            "{{ key }}": "literal",
            "unset": "{{ properties.never }}",
            "looks_like_an_expr": {"property": "age"},
            "braces": "a { b } {# c #}",
        });
        let template = read(&value).unwrap();
        assert_eq!(
            filled(&template),
            json!({
                "a": {"b": [42, "Hi Zoë", 5, null]},
                "tags": ["a"],
                "{{ key }}": "literal",
                "unset": "",
                "looks_like_an_expr": {"property": "age"},
                "braces": "a { b } {# c #}",
            })
        );
        assert_eq!(serde_json::to_string(&template).unwrap(), value.to_string());
    }

    #[test]
    fn finds_all_mistakes() {
        let value = json!({"a": ["{{", {"b": "{{ x | nope }}"}], "c": "{{ outputs.x.y }}"});
        assert_eq!(
            read(&value),
            Err(vec![
                "/a/0: line 1: unexpected end of input, expected expression".to_owned(),
                "/a/1/b: line 1: filter nope is unknown".to_owned(),
                "/c: output `x.y` isn't declared by an earlier action".to_owned(),
            ])
        );
    }

    proptest! {
        #[test]
        fn json_without_templates_is_itself(value in json_value()) {
            prop_assume!(!value.to_string().contains("{{") && !value.to_string().contains("{%"));
            let template = read(&value).unwrap();
            prop_assert_eq!(filled(&template), value.clone());
            prop_assert_eq!(serde_json::to_value(&template).unwrap(), value);
        }
    }
}
