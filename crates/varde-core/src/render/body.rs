//! Writes bodies, and stops where they get too large.

use std::borrow::Cow;
use std::io;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{MAX_BODY, Unsendable};
use crate::expr::{EvalError, Evaluator, text};
use crate::record::AllProperties;
use crate::workflow::{Body, Field};

pub(super) fn render<'a>(body: &'a Body, evaluator: &mut Evaluator<'a>) -> Result<String, Unsendable> {
    match body {
        Body::None => Ok(String::new()),
        Body::AllProperties => {
            let context = evaluator.context();
            json(&AllProperties::new(context.record, context.object_type))
        }
        Body::Properties { fields } => json(&Members(evaluate(fields, evaluator)?)),
        Body::Json { template } => json(&template.evaluate(evaluator)?),
        Body::Form { fields } => form(&evaluate(fields, evaluator)?),
        Body::Text { template, .. } => {
            let text = evaluator.template_text(template)?;
            if text.len() > MAX_BODY { Err(Unsendable::BodyTooLarge) } else { Ok(text.into_owned()) }
        }
    }
}

/// The fields with their values; one that is unset is the empty string, as HubSpot writes it.
fn evaluate<'a>(
    fields: &'a [Field],
    evaluator: &mut Evaluator<'a>,
) -> Result<Vec<(&'a str, Cow<'a, Value>)>, EvalError> {
    let value = |field: &'a Field| {
        let value = evaluator.value(field.value())?;
        Ok((field.name(), value.unwrap_or_else(|| Cow::Owned(Value::String(String::new())))))
    };
    fields.iter().map(value).collect()
}

struct Members<'a>(Vec<(&'a str, Cow<'a, Value>)>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn json(body: &impl Serialize) -> Result<String, Unsendable> {
    let mut bounded = Bounded(Vec::new());
    serde_json::to_writer(&mut bounded, body).map_err(|_| Unsendable::BodyTooLarge)?;
    Ok(String::from_utf8(bounded.0).expect("invariant: serde_json writes UTF-8"))
}

/// `application/x-www-form-urlencoded`, blanks as `+` (WHATWG URL, section 5.2).
fn form(fields: &[(&str, Cow<'_, Value>)]) -> Result<String, Unsendable> {
    let mut body = String::new();
    for (name, value) in fields {
        body = form_urlencoded::Serializer::for_suffix(body, 0).append_pair(name, &text(value)).finish();
        if body.len() > MAX_BODY {
            return Err(Unsendable::BodyTooLarge);
        }
    }
    Ok(body)
}

/// A buffer that takes [`MAX_BODY`] bytes: a property used by a thousand fields must not fill the memory
/// before anybody looks at the size.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BODY {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
