//! JSON at the border: parsed with limits, then taken apart so that every mistake is named at once.
//!
//! ```
//! use varde_core::json::{self, Mistakes, Node};
//!
//! let value = json::parse(br#"{"name": "", "colour": "red"}"#).unwrap();
//! let mistakes = Mistakes::default();
//! let name = Node::root(&value, &mistakes)
//!     .fields(&["name"])
//!     .and_then(|fields| fields.need("name", |node| node.text(1..=10).map(str::to_owned)));
//! let found = mistakes.conclude(name).unwrap_err();
//! assert_eq!(found[0].pointer, "/colour");
//! assert_eq!(found[1].to_string(), "/name: expected 1 to 10 characters, found 0");
//! ```

mod walk;

use core::cell::Cell;
use core::fmt;

use serde::Serialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use walk::{Fields, Mistakes, Node, Path};

/// Deepest nesting of arrays and objects that is read; the walkers recurse, and a wasm stack is small.
pub const MAX_DEPTH: usize = 64;

/// Most mistakes that one answer lists; nobody reads more, and an answer must not dwarf its request.
pub const MAX_MISTAKES: usize = 100;

/// One thing wrong with an input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mistake {
    /// JSON Pointer (RFC 6901) into the input; empty for the whole of it.
    pub pointer: String,
    /// What is wrong, in lower case, with the limit and what was found.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

/// A text that can't be read as JSON; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It isn't JSON (RFC 8259).
    #[error("malformed JSON at line {line}, column {column}: {reason}")]
    Malformed {
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// It is JSON, but nested too deep.
    #[error(
        "JSON may be nested at most {MAX_DEPTH} levels deep; it is deeper at line {line}, column {column}"
    )]
    TooDeep {
        /// Line of the bracket that is too much.
        line: usize,
        /// Column where reading stopped, just behind the bracket.
        column: usize,
    },
    /// One object has the same key twice, so that two readers may see two different values.
    #[error("key {key:?} appears twice in one object, the second time at line {line}, column {column}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Line of the second one.
        line: usize,
        /// Column where reading stopped, just behind it.
        column: usize,
    },
}

impl ParseError {
    /// Stable slug for people and programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_json",
            Self::TooDeep { .. } => "json_too_deep",
            Self::DuplicateKey { .. } => "duplicate_key",
        }
    }
}

/// Reads a text, of what we have written ourselves most often. It goes by bytes, as messages do: the readers of all
/// types are much of the Worker, and are compiled for one kind of source that way.
///
/// # Errors
///
/// When it isn't what it should be.
pub fn from_text<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_slice(text.as_bytes())
}

/// Parses what a caller of ours sent: at most [`MAX_DEPTH`] deep, no key twice in an object.
///
/// # Errors
///
/// Says what is wrong and at which line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    read(bytes, Duplicates::Refuse)
}

/// Parses what somebody else's system sent, which we can't ask to be tidy: of a doubled key the last
/// value wins, as in most parsers; the depth is limited all the same.
///
/// # Errors
///
/// Says what is wrong and at which line and column.
pub fn parse_foreign(bytes: &[u8]) -> Result<Value, ParseError> {
    read(bytes, Duplicates::LastWins)
}

#[derive(Clone, Copy)]
enum Duplicates {
    Refuse,
    LastWins,
}

/// What a [`Tree`] found that isn't a fault of syntax; serde's errors can only carry text.
enum Finding {
    TooDeep,
    DuplicateKey(String),
}

fn read(bytes: &[u8], duplicates: Duplicates) -> Result<Value, ParseError> {
    let finding = Cell::new(None);
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let tree = Tree { levels_left: MAX_DEPTH, duplicates, finding: &finding };
    let outcome = tree.deserialize(&mut source).and_then(|value| source.end().map(|()| value));
    outcome.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match finding.take() {
            Some(Finding::TooDeep) => ParseError::TooDeep { line, column },
            Some(Finding::DuplicateKey(key)) => ParseError::DuplicateKey { key, line, column },
            None => {
                let full = error.to_string();
                let place = format!(" at line {line} column {column}");
                let reason = full.strip_suffix(&place).unwrap_or(&full).to_owned();
                ParseError::Malformed { line, column, reason }
            }
        }
    })
}

#[derive(Clone, Copy)]
struct Tree<'c> {
    levels_left: usize,
    duplicates: Duplicates,
    finding: &'c Cell<Option<Finding>>,
}

impl Tree<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..self }),
            None => Err(self.stop(Finding::TooDeep)),
        }
    }

    fn stop<E: de::Error>(self, finding: Finding) -> E {
        self.finding.set(Some(finding));
        E::custom("")
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = source.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = source.next_key::<String>()? {
            if matches!(self.duplicates, Duplicates::Refuse) && members.contains_key(&key) {
                return Err(self.stop(Finding::DuplicateKey(key)));
            }
            let value = source.next_value_seed(inner)?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::arbitrary::json_value;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn reads_json() {
        let text = r#"{"a": [1, -2, 3.5, true, null, "é\n"], "b": {}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), json!({"a": [1, -2, 3.5, true, null, "é\n"], "b": {}}));
        assert_eq!(parse(b" 5 ").unwrap(), json!(5));
    }

    #[test]
    fn keeps_large_numbers_and_their_types() {
        assert_eq!(parse(b"18446744073709551615").unwrap(), json!(u64::MAX));
        assert_eq!(parse(b"-9223372036854775808").unwrap(), json!(i64::MIN));
        assert!(parse(b"5.0").unwrap().is_f64());
    }

    #[test]
    fn says_where_it_broke() {
        for (text, line, column) in [
            ("", 1, 0),
            ("{\"a\": 1,\n  }", 2, 3),
            ("{} x", 1, 4),
            ("[1 2]", 1, 4),
            ("nul", 1, 3),
            ("1e999", 1, 5),
        ] {
            match parse(text.as_bytes()) {
                Err(ParseError::Malformed { line: l, column: c, reason }) => {
                    assert_eq!((l, c), (line, column), "{text:?}: {reason}");
                    assert!(!reason.is_empty() && !reason.contains(" at line "), "{reason}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn refuses_bytes_that_are_not_utf8() {
        assert_eq!(parse(b"\"\xff\"").unwrap_err().code(), "malformed_json");
    }

    #[test]
    fn depth_ends_at_64() {
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(error, ParseError::TooDeep { line: 1, column: 66 });
        assert_eq!(error.code(), "json_too_deep");
        let objects = "{\"a\":".repeat(1_000);
        assert_eq!(parse(objects.as_bytes()).unwrap_err().code(), "json_too_deep");
    }

    #[test]
    fn a_doubled_key_is_refused_in_ours_and_taken_in_theirs() {
        let text = b"{\"a\": 1,\n \"b\": {\"k\": 1, \"k\": 2}}";
        let error = parse(text).unwrap_err();
        assert!(matches!(&error, ParseError::DuplicateKey { key, line: 2, .. } if key == "k"), "{error:?}");
        assert_eq!(error.code(), "duplicate_key");
        assert_eq!(parse_foreign(text).unwrap(), json!({"a": 1, "b": {"k": 2}}));
        assert_eq!(parse_foreign(nested(65).as_bytes()).unwrap_err().code(), "json_too_deep");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn agrees_with_serde_json(value in json_value()) {
            let text = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), serde_json::from_slice::<Value>(&text).unwrap());
        }
    }
}
