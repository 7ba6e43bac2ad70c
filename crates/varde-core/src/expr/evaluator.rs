//! Takes the values of one request from its context.

use std::borrow::Cow;

use serde_json::Value;

use super::engine::{Engine, Mode};
use super::template::Kind;
use super::{Context, Expr, MAX_TEMPLATE_OUTPUT, NowFormat, RecordField, Template};

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// An output that an earlier action declares wasn't in its response, and has no default.
    #[error("output `{action}.{name}` is missing and has no default")]
    MissingOutput {
        /// Id of the action.
        action: String,
        /// Name of the output.
        name: String,
    },
    /// A template failed, or did more than [`super::MAX_FUEL`] allows.
    #[error("template failed on line {line}: {reason}")]
    TemplateFailed {
        /// Line, from 1.
        line: usize,
        /// What the engine says.
        reason: String,
    },
    /// The templates of one request made too much text.
    #[error("templates of one request may make at most {MAX_TEMPLATE_OUTPUT} bytes together")]
    TooLarge,
}

impl EvalError {
    /// Stable slug for people and programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingOutput { .. } => "missing_output",
            Self::TemplateFailed { .. } => "template_failed",
            Self::TooLarge => "request_too_large",
        }
    }
}

/// Evaluates all values of one request, which share their limits. Values are borrowed where they can be;
/// the template engine is only started by the first template that needs it.
pub struct Evaluator<'a> {
    context: Context<'a>,
    engine: Option<Engine>,
}

impl<'a> Evaluator<'a> {
    /// An evaluator with fresh limits.
    #[must_use]
    pub const fn new(context: Context<'a>) -> Self {
        Self { context, engine: None }
    }

    /// What the values are taken from.
    #[must_use]
    pub const fn context(&self) -> &Context<'a> {
        &self.context
    }

    /// The value of an expression; `None` for a property or event field that is unset.
    ///
    /// # Errors
    ///
    /// A missing output, or a template that fails.
    pub fn value(&mut self, expr: &'a Expr) -> Result<Option<Cow<'a, Value>>, EvalError> {
        let set = |value: Option<&'a Value>| value.filter(|value| !value.is_null()).map(Cow::Borrowed);
        let context = self.context;
        Ok(match expr {
            Expr::Property(name) => set(context.record.properties().get(name)),
            Expr::Event(name) => set(context.event.and_then(|event| event.get(name))),
            Expr::Output { action, name } => match context.outputs.value(action, name) {
                Some(value) => Some(Cow::Borrowed(value)),
                None => return Err(EvalError::MissingOutput { action: action.clone(), name: name.clone() }),
            },
            Expr::Record(RecordField::Id) => Some(Cow::Owned(Value::String(context.record.id().to_owned()))),
            Expr::Now(NowFormat::Ms) => Some(Cow::Owned(Value::Number(context.now.0.into()))),
            Expr::Now(NowFormat::Iso8601) => Some(Cow::Owned(Value::String(context.now.to_iso8601()))),
            Expr::Static(value) => Some(Cow::Borrowed(value)),
            Expr::Template(template) => Some(Cow::Owned(self.template_value(template)?)),
        })
    }

    /// The value of a template: typed if it is one whole `{{ expr }}`, else a string.
    ///
    /// # Errors
    ///
    /// A missing output, or a template that fails.
    pub fn template_value(&mut self, template: &Template) -> Result<Value, EvalError> {
        match template.kind() {
            Kind::Plain => Ok(Value::String(template.source().to_owned())),
            Kind::Text => self.engine().text(template.source(), Mode::Text).map(Value::String),
            Kind::Whole => self.engine().value(template.source()),
        }
    }

    /// The text of a template.
    ///
    /// # Errors
    ///
    /// A missing output, or a template that fails.
    pub fn template_text<'t>(&mut self, template: &'t Template) -> Result<Cow<'t, str>, EvalError> {
        self.template_in(template, Mode::Text)
    }

    /// The text of a template whose values are percent-encoded as they are filled in, so that they stay
    /// within their path segment or query component.
    ///
    /// # Errors
    ///
    /// A missing output, or a template that fails.
    pub fn template_url<'t>(&mut self, template: &'t Template) -> Result<Cow<'t, str>, EvalError> {
        self.template_in(template, Mode::Component)
    }

    fn template_in<'t>(&mut self, template: &'t Template, mode: Mode) -> Result<Cow<'t, str>, EvalError> {
        if template.is_plain() {
            return Ok(Cow::Borrowed(template.source()));
        }
        self.engine().text(template.source(), mode).map(Cow::Owned)
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.get_or_insert_with(|| Engine::new(&self.context))
    }
}

/// A value as text, for places that know no types: headers, queries, forms. Null is empty; what has parts
/// is written as JSON.
#[must_use]
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::expr::Scope;
    use crate::outputs::Outputs;
    use crate::record::EnrollmentInput;
    use crate::time::UnixMs;
    use crate::workflow::ObjectType;

    struct World {
        input: EnrollmentInput,
        outputs: Outputs,
    }

    impl World {
        fn new() -> Self {
            let input = json!({
                "record": {"id": 51, "properties": {
                    "firstname": "Zoë", "age": 42, "score": 2.0, "vip": true, "gone": null,
                    "tags": ["a", "b"], "address": {"city": "Ås"}, "html": "<b>&</b>", "path": "../x?y=1&z",
                }},
                "event": {"order_no": "A-1", "lines": [{"sku": "x", "n": 2}, {"sku": "y", "n": 3}], "none": null},
            });
            let outputs =
                json!({"login": {"token": "t0k", "ttl": 60}, "create-order": {"order_id": 7, "nil": null}});
            Self {
                input: EnrollmentInput::parse(&input).unwrap(),
                outputs: Outputs::parse(&outputs).unwrap(),
            }
        }

        fn context(&self) -> Context<'_> {
            Context {
                object_type: &ObjectType::Contact,
                record: self.input.record(),
                event: self.input.event(),
                outputs: &self.outputs,
                now: UnixMs(1_767_323_045_678),
            }
        }

        fn text(&self, source: &str) -> Result<String, EvalError> {
            let template = Template::new(source, &Scope::draft()).unwrap();
            Evaluator::new(self.context()).template_text(&template).map(Cow::into_owned)
        }

        fn value(&self, source: &str) -> Result<Value, EvalError> {
            let template = Template::new(source, &Scope::draft()).unwrap();
            Evaluator::new(self.context()).template_value(&template)
        }

        fn url(&self, source: &str) -> Result<String, EvalError> {
            let template = Template::new(source, &Scope::draft()).unwrap();
            Evaluator::new(self.context()).template_url(&template).map(Cow::into_owned)
        }
    }

    #[test]
    fn expressions_take_their_values() {
        let world = World::new();
        let output = |action: &str, name: &str| Expr::Output { action: action.into(), name: name.into() };
        for (expr, expected) in [
            (Expr::Property("age".into()), Some(json!(42))),
            (Expr::Property("vip".into()), Some(json!(true))),
            (Expr::Property("address".into()), Some(json!({"city": "Ås"}))),
            (Expr::Property("gone".into()), None),
            (Expr::Property("never".into()), None),
            (Expr::Event("order_no".into()), Some(json!("A-1"))),
            (Expr::Event("none".into()), None),
            (Expr::Event("never".into()), None),
            (output("create-order", "order_id"), Some(json!(7))),
            (output("create-order", "nil"), Some(json!(null))),
            (Expr::Record(RecordField::Id), Some(json!("51"))),
            (Expr::Now(NowFormat::Ms), Some(json!(1_767_323_045_678_u64))),
            (Expr::Now(NowFormat::Iso8601), Some(json!("2026-01-02T03:04:05.678Z"))),
            (Expr::Static(json!({"a": null})), Some(json!({"a": null}))),
            (Expr::Static(json!(null)), Some(json!(null))),
        ] {
            let value = Evaluator::new(world.context()).value(&expr).unwrap().map(Cow::into_owned);
            assert_eq!(value, expected, "{expr:?}");
        }
        let error = Evaluator::new(world.context()).value(&output("create-order", "x")).unwrap_err();
        assert_eq!(error.to_string(), "output `create-order.x` is missing and has no default");
        assert_eq!(error.code(), "missing_output");
    }

    #[test]
    fn templates_make_text() {
        let world = World::new();
        for (source, expected) in [
            ("plain { text }", "plain { text }"),
            ("Hi {{ properties.firstname }}!", "Hi Zoë!"),
            ("{{ properties.age + 1 }}|{{ properties.score }}|{{ properties.vip }}", "43|2.0|true"),
            ("[{{ properties.gone }}{{ properties.never }}{{ event.a.b.c }}{{ nothing }}]", "[]"),
            ("{{ properties.html }}", "<b>&</b>"),
            ("{{ properties.tags }} {{ properties.address }}", r#"["a","b"] {"city":"Ås"}"#),
            ("{% for l in event.lines %}{{ l.sku }}={{ l.n }};{% endfor %}", "x=2;y=3;"),
            ("{{ record.id }} {{ record.properties.age }}", "51 42"),
            ("{{ outputs.login.token }} {{ outputs[\"create-order\"].order_id }}", "t0k 7"),
            ("{{ outputs['create-order'].nil }}", ""),
            (
                "{{ now }} {{ now.ms }} {{ now.iso8601 }}",
                "2026-01-02T03:04:05.678Z 1767323045678 2026-01-02T03:04:05.678Z",
            ),
            ("{{ properties.firstname | upper }} {{ properties.never | default('x') }}", "ZOË x"),
            ("{% if properties.vip %}yes{% else %}no{% endif %}\n", "yes\n"),
            ("{# note #}{{ properties.age }}", "42"),
            ("{{ properties.tags | tojson }}", r#"["a", "b"]"#),
            ("{{ properties.tags | join(', ') }}", "a, b"),
            ("{% autoescape 'html' %}{{ properties.html }}{% endautoescape %}", "<b>&</b>"),
        ] {
            assert_eq!(world.text(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_whole_expression_keeps_its_type() {
        let world = World::new();
        for (source, expected) in [
            ("{{ properties.age }}", json!(42)),
            ("{{ properties.age * 2 }}", json!(84)),
            ("{{ properties.age / 4 }}", json!(10.5)),
            ("{{ properties.score }}", json!(2.0)),
            ("{{ properties.vip }}", json!(true)),
            ("{{ properties.tags }}", json!(["a", "b"])),
            ("{{ event.lines }}", json!([{"sku": "x", "n": 2}, {"sku": "y", "n": 3}])),
            (
                "{{ event }}",
                json!({"order_no": "A-1", "lines": [{"sku": "x", "n": 2}, {"sku": "y", "n": 3}], "none": null}),
            ),
            ("{{ properties.gone }}", json!(null)),
            ("{{ properties.never }}", json!("")),
            ("{{- properties.age -}}", json!(42)),
            ("{{ {'a': [properties.age]} }}", json!({"a": [42]})),
            ("{{ 18446744073709551615 }}", json!(u64::MAX)),
            ("{{ -5 }}", json!(-5)),
            ("{{ now.ms }}", json!(1_767_323_045_678_u64)),
            ("{{ now }}", json!("2026-01-02T03:04:05.678Z")),
            ("{{ range(3) }}", json!([0, 1, 2])),
            ("{{ outputs['create-order'].order_id }}", json!(7)),
            ("{{ properties.age }} ", json!("42 ")),
        ] {
            assert_eq!(world.value(source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn values_in_a_url_stay_in_their_component() {
        let world = World::new();
        assert_eq!(
            world.url("https://a.example/{{ properties.path }}/x?q={{ properties.firstname }}&l={{ properties.tags }}"),
            Ok("https://a.example/..%2Fx%3Fy%3D1%26z/x?q=Zo%C3%AB&l=%5B%22a%22%2C%22b%22%5D".to_owned())
        );
        assert_eq!(
            world.url("https://a.example/{{ properties.html | safe }}").unwrap(),
            "https://a.example/%3Cb%3E%26%3C%2Fb%3E"
        );
    }

    #[test]
    fn a_missing_output_is_an_error_however_it_is_used() {
        let world = World::new();
        for source in [
            "{{ outputs.login.nope }}",
            "{{ outputs.nope.token }}x",
            "{{ outputs.login.nope.deeper }}",
            "{{ outputs.login.nope | default('x') }}",
            "{% if outputs.login.nope %}{% endif %}",
            "{{ outputs['login']['nope'] is defined }}",
        ] {
            let error = world.text(source).unwrap_err();
            assert!(matches!(error, EvalError::MissingOutput { .. }), "{source}: {error}");
        }
        assert!(matches!(world.value("{{ outputs.login.nope }}"), Err(EvalError::MissingOutput { .. })));
    }

    #[test]
    fn failures_say_where() {
        let world = World::new();
        let error = world.text("a\n{{ properties.firstname * properties.address }}").unwrap_err();
        assert!(matches!(&error, EvalError::TemplateFailed { line: 2, .. }), "{error}");
        assert_eq!(error.code(), "template_failed");
        assert!(matches!(world.value("{{ 1e308 * 10 }}"), Err(EvalError::TemplateFailed { .. })));
    }

    /// Each of these is short, and would take ages or gigabytes.
    #[test]
    fn hostile_templates_are_cut() {
        let world = World::new();
        let doubling = format!("{{% set x = 'xxxxxxxx' %}}{}{{{{ x }}}}", "{% set x = [x, x] %}".repeat(60));
        let nesting = format!("{{% set x = 1 %}}{}{{{{ x }}}}", "{% set x = [x] %}".repeat(240));
        for source in [
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
            "{{ 'x' * 999999999 }}",
            "{{ [[1] * 10000] * 10000 }}",
            "{{ '%999999999d' | format(1) }}",
            doubling.as_str(),
            nesting.as_str(),
        ] {
            let error = world.text(source).unwrap_err();
            assert!(matches!(error.code(), "template_failed" | "request_too_large"), "{error}");
        }
    }

    #[test]
    fn limits_are_shared_by_the_templates_of_a_request() {
        let world = World::new();
        let busy = Template::new("{% for a in range(5000) %}{% endfor %}", &Scope::draft()).unwrap();
        let wordy = Template::new("{{ 'x' * 300000 }}", &Scope::draft()).unwrap();
        for (template, code) in [(busy, "template_failed"), (wordy, "request_too_large")] {
            let mut evaluator = Evaluator::new(world.context());
            assert!(evaluator.template_text(&template).is_ok());
            let error = (0..100).find_map(|_| evaluator.template_value(&template).err()).unwrap();
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn text_of_values() {
        for (value, expected) in [
            (json!(null), ""),
            (json!("a"), "a"),
            (json!(5), "5"),
            (json!(2.0), "2.0"),
            (json!(false), "false"),
            (json!([1, "a"]), r#"[1,"a"]"#),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    mod laws {
        use proptest::prelude::*;

        use super::*;
        use crate::arbitrary::json_value;

        proptest! {
            #[test]
            fn static_values_keep_their_type(value in json_value()) {
                let world = World::new();
                let expr = Expr::Static(value.clone());
                let evaluated = Evaluator::new(world.context()).value(&expr).unwrap().unwrap().into_owned();
                prop_assert_eq!(evaluated, value);
            }

            /// What goes through the engine as a whole expression comes out as it went in.
            #[test]
            fn whole_expressions_keep_any_type(value in json_value()) {
                let input = EnrollmentInput::parse(&json!({"record": {"id": "1", "properties": {}}, "event": {"x": value}})).unwrap();
                let world = World { input, outputs: Outputs::default() };
                prop_assert_eq!(world.value("{{ event.x }}").unwrap(), value);
            }

            #[test]
            fn any_template_is_refused_or_rendered(
                source in r#"(\{\{|\}\}|\{%|%\}|\{#|#\}|[ .|()'"\[\],:~+*-]|a|1|event|properties|outputs\.login\.token|now|if|else|endif|for x in|endfor|set x =|upper|default|range\(9\)){0,25}"#,
            ) {
                let world = World::new();
                if let Ok(template) = Template::new(&source, &Scope::draft()) {
                    let mut evaluator = Evaluator::new(world.context());
                    let _ = evaluator.template_text(&template);
                    let _ = evaluator.template_value(&template);
                    let _ = evaluator.template_url(&template);
                }
            }
        }
    }

    #[test]
    fn an_event_that_is_absent_is_empty() {
        let input = EnrollmentInput::parse(&json!({"record": {"id": "1", "properties": {}}})).unwrap();
        let world = World { input, outputs: Outputs::default() };
        assert_eq!(world.text("[{{ event.x.y }}]").unwrap(), "[]");
        assert_eq!(world.value("{{ event }}").unwrap(), Value::Object(Map::new()));
    }
}
