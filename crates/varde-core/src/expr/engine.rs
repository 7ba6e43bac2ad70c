//! The template engine (minijinja), on a short leash: fuel, no loader, no macros, no auto-escape.

use core::error::Error as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, Value as Jinja, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Number, Value};

use super::{Context, EvalError, MAX_FUEL, MAX_TEMPLATE_OUTPUT, TemplateError};
use crate::endpoint_url::percent_encoded;
use crate::json::MAX_DEPTH;
use crate::time::UnixMs;

/// Fuel for the run without values that finds unknown filters when a template is saved.
const CHECK_FUEL: u64 = 10_000;

/// What a value counts beside its text, in bytes: reading a small one costs as much as copying some text.
const VALUE_BYTES: usize = 8;

/// Longest reason of the engine that is passed on, in characters; it may quote values.
const MAX_REASON: usize = 200;

/// Mistakes that can be told without values.
const UNKNOWN: [ErrorKind; 3] =
    [ErrorKind::UnknownFilter, ErrorKind::UnknownTest, ErrorKind::UnknownFunction];

/// What becomes of the values that a template prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are written as text.
    Text,
    /// They are written percent-encoded.
    Component,
    /// The one value is kept as it is.
    Value,
}

/// Checks a source: its syntax, and that the filters, tests and functions it uses exist.
pub(super) fn check(source: &str) -> Result<(), TemplateError> {
    let mut environment = environment(&Arc::default());
    environment.set_fuel(Some(CHECK_FUEL));
    let outcome = environment.template_from_str(source).and_then(|template| template.render(()));
    match outcome {
        Err(error) if error.kind() == ErrorKind::SyntaxError || UNKNOWN.contains(&error.kind()) => {
            Err(TemplateError::Syntax { line: error.line().unwrap_or(1), reason: reason(&error) })
        }
        // Without values many templates fail that are right, e.g. those that do arithmetic.
        _ => Ok(()),
    }
}

/// Whether a text is one expression.
pub(super) fn is_expression(source: &str) -> bool {
    Environment::empty().compile_expression(source).is_ok()
}

/// The engine with the values of one request.
pub(super) struct Engine {
    environment: Environment<'static>,
    sink: Arc<Mutex<Sink>>,
    root: Jinja,
    fuel: u64,
    bytes: usize,
}

#[derive(Default)]
struct Sink {
    mode: Option<Mode>,
    value: Option<Jinja>,
}

impl Engine {
    pub(super) fn new(context: &Context<'_>) -> Self {
        let sink = Arc::default();
        Self {
            environment: environment(&sink),
            sink,
            root: Jinja::from_object(Root::new(context)),
            fuel: MAX_FUEL,
            bytes: MAX_TEMPLATE_OUTPUT,
        }
    }

    /// The text that a template makes.
    pub(super) fn text(&mut self, source: &str, mode: Mode) -> Result<String, EvalError> {
        self.run(source, mode).map(|(text, _)| text)
    }

    /// The value of a template that is one whole `{{ expr }}`; unset is the empty string, as in a text.
    pub(super) fn value(&mut self, source: &str) -> Result<Value, EvalError> {
        let (text, value) = self.run(source, Mode::Value)?;
        match value {
            Some(value) if value.is_undefined() => Ok(Value::String(String::new())),
            Some(value) => {
                let converted = to_json(&value, &mut self.bytes.clone()).map_err(|error| failure(&error))?;
                self.spend(size(&converted))?;
                Ok(converted)
            }
            None => Ok(Value::String(text)),
        }
    }

    fn run(&mut self, source: &str, mode: Mode) -> Result<(String, Option<Jinja>), EvalError> {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Sink { mode: Some(mode), value: None };
        self.environment.set_fuel(Some(self.fuel));
        let template = self.environment.template_from_str(source).map_err(|error| failure(&error))?;
        let captured = template.render_captured(self.root.clone()).map_err(|error| failure(&error))?;
        self.fuel = captured.state().fuel_levels().map_or(0, |(_, remaining)| remaining);
        let text = captured.into_output();
        drop(template);
        self.spend(text.len())?;
        let value = self.sink.lock().unwrap_or_else(PoisonError::into_inner).value.take();
        Ok((text, value))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(EvalError::TooLarge)?;
        Ok(())
    }
}

fn environment(sink: &Arc<Mutex<Sink>>) -> Environment<'static> {
    let mut environment = Environment::new();
    // `namespace` could nest values without end, and values are freed recursively; `debug` shows
    // everything there is, which helps nobody in a webhook.
    environment.remove_global("namespace");
    environment.remove_global("debug");
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    let sink = Arc::clone(sink);
    environment.set_formatter(move |out, _, value| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        match sink.mode {
            Some(Mode::Value) => sink.value = Some(value.clone()),
            Some(Mode::Component) => write!(out, "{}", percent_encoded(&printed(value)?))?,
            Some(Mode::Text) | None => out.write_str(&printed(value)?)?,
        }
        Ok(())
    });
    environment
}

/// A value as text: JSON's words for booleans, nothing for unset and null, JSON for what has parts.
fn printed(value: &Jinja) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(String::new()),
        ValueKind::Bool => Ok(value.is_true().to_string()),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            to_json(value, &mut MAX_TEMPLATE_OUTPUT.clone()).map(|value| value.to_string())
        }
        _ => Ok(value.to_string()),
    }
}

/// Bounds depth and size itself, because a short template can build a value that shares its parts and
/// so is small in memory and huge when written.
fn to_json(value: &Jinja, bytes: &mut usize) -> Result<Value, Error> {
    convert(value, MAX_DEPTH, bytes)
}

fn convert(value: &Jinja, levels: usize, bytes: &mut usize) -> Result<Value, Error> {
    let spend = |bytes: &mut usize, amount: usize| {
        *bytes = bytes.checked_sub(amount).ok_or_else(|| caused_by(Oversize))?;
        Ok::<_, Error>(())
    };
    spend(bytes, VALUE_BYTES)?;
    let deeper = || {
        let too_deep = || Error::new(ErrorKind::InvalidOperation, "value is nested too deep");
        levels.checked_sub(1).ok_or_else(too_deep)
    };
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => number(value)?,
        ValueKind::Seq | ValueKind::Iterable => {
            let levels = deeper()?;
            value.try_iter()?.map(|item| convert(&item, levels, bytes)).collect::<Result<_, _>>()?
        }
        ValueKind::Map => {
            let levels = deeper()?;
            let mut members = Map::new();
            for key in value.try_iter()? {
                let item = convert(&value.get_item(&key)?, levels, bytes)?;
                let key = key.to_string();
                spend(bytes, key.len())?;
                members.insert(key, item);
            }
            Value::Object(members)
        }
        ValueKind::Invalid => return Err(Error::new(ErrorKind::InvalidOperation, "value is an error")),
        _ => {
            let text = value.to_string();
            spend(bytes, text.len())?;
            Value::String(text)
        }
    })
}

fn number(value: &Jinja) -> Result<Value, Error> {
    if value.is_integer() {
        let number = i64::try_from(value.clone()).map(Number::from);
        return number.or_else(|_| u64::try_from(value.clone()).map(Number::from)).map(Value::Number);
    }
    let number = f64::try_from(value.clone())?;
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{number} can't be written in JSON")))
}

/// About how many bytes a value has as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(key, item)| key.len() + size(item)).sum(),
        _ => 1,
    }
}

fn failure(error: &Error) -> EvalError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(missing) = inner.downcast_ref::<Missing>() {
            let Missing { action, name } = missing.clone();
            return EvalError::MissingOutput { action, name };
        }
        if inner.is::<Oversize>() {
            return EvalError::TooLarge;
        }
        source = inner.source();
    }
    EvalError::TemplateFailed { line: error.line().unwrap_or(1), reason: reason(error) }
}

fn reason(error: &Error) -> String {
    let kind = error.kind();
    let full = match (kind, error.detail()) {
        (kind, Some(detail)) if kind == ErrorKind::SyntaxError || UNKNOWN.contains(&kind) => {
            detail.to_owned()
        }
        (_, Some(detail)) => format!("{kind}: {detail}"),
        (ErrorKind::OutOfFuel, None) => "it does too much".to_owned(),
        (_, None) => kind.to_string(),
    };
    full.chars().take(MAX_REASON).collect()
}

/// An engine error that stands for one of ours, which [`failure`] finds again.
fn caused_by(cause: impl core::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidOperation, cause.to_string()).with_source(cause)
}

/// A value that would be too large as JSON.
#[derive(Debug, thiserror::Error)]
#[error("value is too large")]
struct Oversize;

/// An output that isn't there.
#[derive(Debug, Clone, thiserror::Error)]
#[error("output `{action}.{name}` is missing")]
struct Missing {
    action: String,
    name: String,
}

/// What a template sees.
#[derive(Debug)]
struct Root {
    properties: Jinja,
    record: Jinja,
    event: Jinja,
    outputs: Jinja,
    now: Jinja,
}

impl Root {
    fn new(context: &Context<'_>) -> Self {
        let properties = Jinja::from(Serde(context.record.properties()));
        let record = [("id", Jinja::from(context.record.id())), ("properties", properties.clone())];
        let outputs = context.outputs.iter().map(|(action, values)| {
            let values = values.iter().map(|(name, value)| (name.clone(), Jinja::from(Serde(value))));
            (action.to_string(), values.collect())
        });
        Self {
            properties,
            record: Jinja::from_pairs(record),
            event: Jinja::from(Serde(context.event.unwrap_or(&Map::new()))),
            outputs: Jinja::from_object(Outputs(outputs.collect())),
            now: Jinja::from_object(Now(context.now)),
        }
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let value = match key.as_str()? {
            "properties" => &self.properties,
            "record" => &self.record,
            "event" => &self.event,
            "outputs" => &self.outputs,
            "now" => &self.now,
            _ => return None,
        };
        Some(value.clone())
    }
}

#[derive(Debug)]
struct Outputs(BTreeMap<String, BTreeMap<String, Jinja>>);

impl Object for Outputs {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let action = key.as_str()?.to_owned();
        let values = self.0.get(&action).cloned().unwrap_or_default();
        Some(Jinja::from_object(ActionOutputs { action, values }))
    }
}

#[derive(Debug)]
struct ActionOutputs {
    action: String,
    values: BTreeMap<String, Jinja>,
}

impl Object for ActionOutputs {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let name = key.as_str()?;
        let value = self.values.get(name).cloned();
        Some(value.unwrap_or_else(|| {
            let missing = Missing { action: self.action.clone(), name: name.to_owned() };
            Jinja::from(caused_by(missing))
        }))
    }
}

/// The time of rendering: `{{ now }}` is ISO 8601, and so is `now.iso8601`; `now.ms` is a number.
#[derive(Debug)]
struct Now(UnixMs);

impl Object for Now {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        match key.as_str()? {
            "ms" => Some(Jinja::from(self.0.0)),
            "iso8601" => Some(Jinja::from(self.0.to_iso8601())),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn render(self: &Arc<Self>, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0.to_iso8601())
    }
}
