//! Texts with `{{ }}` in them.

use core::fmt;

use serde::{Serialize, Serializer};

use super::scan::scan;
use super::{MAX_STATEMENTS, MAX_TEMPLATE, MAX_WORDS, Scope, engine};
use crate::json::Node;

/// A text that may hold `{{ expressions }}` and `{% statements %}` (minijinja), checked when it was read.
///
/// Texts without either are never given to the template engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No code in it.
    Plain,
    /// Text and code.
    Text,
    /// One `{{ expr }}` and nothing else: it has a value, not only a text.
    Whole,
}

/// Why a text isn't a template that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Longer than [`MAX_TEMPLATE`].
    #[error("template may have at most {MAX_TEMPLATE} bytes, has {found}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// One block has more code than [`MAX_WORDS`].
    #[error("line {line}: a block of code may have at most {MAX_WORDS} words and signs")]
    TooMuchCode {
        /// Line, from 1.
        line: usize,
    },
    /// More `{% %}` than [`MAX_STATEMENTS`].
    #[error("line {line}: a template may have at most {MAX_STATEMENTS} statements")]
    TooManyStatements {
        /// Line, from 1.
        line: usize,
    },
    /// Not in the template language, or a filter, test or function that it doesn't have.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What the engine says.
        reason: String,
    },
    /// Uses `outputs` in a way that doesn't say which one.
    #[error("line {line}: write `outputs.<action>.<name>`, with `[\"…\"]` around names that hold a hyphen")]
    UnclearOutput {
        /// Line, from 1.
        line: usize,
    },
    /// Names an output that no earlier action declares.
    #[error("output `{action}.{name}` isn't declared by an earlier action")]
    UndeclaredOutput {
        /// Id of the action.
        action: String,
        /// Name of the output.
        name: String,
    },
}

impl Template {
    /// Checks a text: its syntax, the names of filters, and that the outputs it uses are in scope.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn new(source: &str, scope: &Scope) -> Result<Self, TemplateError> {
        let source = source.to_owned();
        if !has_code(&source) {
            return Ok(Self { source, kind: Kind::Plain });
        }
        if source.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong { found: source.len() });
        }
        let found = scan(&source)?;
        engine::check(&source)?;
        if let Some(line) = found.unclear {
            return Err(TemplateError::UnclearOutput { line });
        }
        for reference in found.references {
            scope.check(reference.action, reference.name)?;
        }
        let kind = if whole(&source).is_some_and(engine::is_expression) { Kind::Whole } else { Kind::Text };
        Ok(Self { source, kind })
    }

    /// Reads a string as a template and notes what is wrong with it.
    pub fn read(node: Node<'_>, scope: &Scope) -> Option<Self> {
        match Self::new(node.string()?, scope) {
            Ok(template) => Some(template),
            Err(mistake) => {
                node.mistake(mistake);
                None
            }
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether there is nothing to fill in.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.kind == Kind::Plain
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

fn has_code(source: &str) -> bool {
    source.contains("{{") || source.contains("{%")
}

/// The inside of a text that starts with `{{` and ends with `}}`.
fn whole(source: &str) -> Option<&str> {
    let inside = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    Some(inside.strip_suffix('-').unwrap_or(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(source: &str) -> Kind {
        Template::new(source, &Scope::draft()).unwrap().kind
    }

    #[test]
    fn knows_the_three_kinds() {
        for (source, expected) in [
            ("", Kind::Plain),
            ("a { b } {# c #} }} %}", Kind::Plain),
            ("{{ a }}", Kind::Whole),
            ("{{a}}", Kind::Whole),
            ("{{- a -}}", Kind::Whole),
            ("{{ {'a': {'b': 1}} }}", Kind::Whole),
            ("{{ '}} {{' }}", Kind::Whole),
            ("{{ properties.amount * 2 if event.x else 'none' }}", Kind::Whole),
            ("{{ a }} ", Kind::Text),
            (" {{ a }}", Kind::Text),
            ("{{ a }}{{ b }}", Kind::Text),
            ("{{ a }} and {{ b }}", Kind::Text),
            ("{{ {} }}{{ {} }}", Kind::Text),
            ("{% if a %}{{ b }}{% endif %}", Kind::Text),
        ] {
            assert_eq!(kind(source), expected, "{source}");
        }
    }

    #[test]
    fn finds_mistakes_at_once() {
        for (source, mistake) in [
            ("{{ a", "line 1: unexpected end of input, expected end of variable block"),
            ("a\n{% if b %}\nc", "line 2: unexpected end of input, expected end of block"),
            ("{{ a }}\n{{ b | uper }}", "line 2: filter uper is unknown"),
            ("{{ a is weird }}", "line 1: test weird is unknown"),
            ("{{ nope() }}", "line 1: nope is unknown"),
            ("{% include 'x' %}", "line 1: unknown statement include"),
            (
                "{{ outputs.a }}",
                "line 1: write `outputs.<action>.<name>`, with `[\"…\"]` around names that hold a hyphen",
            ),
            ("{{ outputs.a.b }}", "output `a.b` isn't declared by an earlier action"),
            (
                "{% if false %}{{ outputs.a.b }}{% endif %}",
                "output `a.b` isn't declared by an earlier action",
            ),
        ] {
            let error = Template::new(source, &Scope::default()).unwrap_err();
            assert_eq!(error.to_string(), mistake, "{source}");
        }
    }

    #[test]
    fn only_texts_with_code_are_limited() {
        assert!(Template::new(&"x".repeat(MAX_TEMPLATE + 1), &Scope::default()).is_ok());
        let long = format!("{{{{ a }}}}{}", "x".repeat(MAX_TEMPLATE));
        assert_eq!(
            Template::new(&long, &Scope::default()),
            Err(TemplateError::TooLong { found: long.len() })
        );
    }
}
