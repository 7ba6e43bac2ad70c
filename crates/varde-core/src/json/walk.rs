//! Takes a JSON value apart, strictly, and keeps every mistake with its place.

use core::cell::RefCell;
use core::fmt::{self, Display};
use core::ops::RangeInclusive;
use core::str::FromStr;

use serde_json::{Map, Value};

use super::{MAX_MISTAKES, Mistake};

/// The mistakes found so far; after [`MAX_MISTAKES`] further ones are dropped.
#[derive(Debug, Default)]
pub struct Mistakes {
    list: RefCell<Vec<Mistake>>,
    takes_unknown_fields: bool,
}

impl Mistakes {
    /// Of input that was parsed strictly when it was stored, maybe by a later version: fields that aren't
    /// known are passed over, so that a version can be rolled back.
    #[must_use]
    pub fn of_stored() -> Self {
        Self { takes_unknown_fields: true, ..Self::default() }
    }

    fn add(&self, path: &Path<'_>, message: &dyn Display) {
        let mut list = self.list.borrow_mut();
        if list.len() < MAX_MISTAKES {
            list.push(Mistake { pointer: path.to_string(), message: message.to_string() });
        }
    }

    /// Ends a parse: the value if there was nothing wrong, else all mistakes.
    ///
    /// # Errors
    ///
    /// The mistakes, at least one.
    pub fn conclude<T>(self, value: Option<T>) -> Result<T, Vec<Mistake>> {
        let mut list = self.list.into_inner();
        match value {
            Some(value) if list.is_empty() => Ok(value),
            _ => {
                if list.is_empty() {
                    // A reader that gives up without a reason is our fault; say so rather than lie.
                    list.push(Mistake { pointer: String::new(), message: "can't be read".to_owned() });
                }
                Err(list)
            }
        }
    }
}

/// The way from the root to a value; shown as a JSON Pointer. Kept on the stack, so that it costs
/// nothing while there are no mistakes.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a>(Option<(&'a Path<'a>, Step<'a>)>);

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some((parent, Step::Index(index))) => write!(f, "{parent}/{index}"),
            // RFC 6901, section 3: `~` first, or it would escape its own escapes.
            Some((parent, Step::Key(key))) => {
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
        }
    }
}

/// A value with its place. Its readers answer `None` after they have noted why.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    value: &'a Value,
    path: Path<'a>,
    mistakes: &'a Mistakes,
}

impl<'a> Node<'a> {
    /// The whole input.
    #[must_use]
    pub const fn root(value: &'a Value, mistakes: &'a Mistakes) -> Self {
        Self { value, path: Path(None), mistakes }
    }

    /// The value itself.
    #[must_use]
    pub const fn value(&self) -> &'a Value {
        self.value
    }

    /// Notes a mistake here.
    pub fn mistake(&self, message: impl Display) {
        self.mistakes.add(&self.path, &message);
    }

    /// Notes a mistake at a field of this object.
    pub fn mistake_at(&self, name: &str, message: impl Display) {
        self.mistakes.add(&Path(Some((&self.path, Step::Key(name)))), &message);
    }

    fn wrong_type(&self, expected: impl Display) {
        self.mistake(format_args!("expected {expected}, found {}", kind(self.value)));
    }

    /// A string.
    pub fn string(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type("a string");
        }
        text
    }

    /// A string with so many characters and no control characters.
    pub fn text(&self, length: RangeInclusive<usize>) -> Option<&'a str> {
        let text = self.string()?;
        let found = text.chars().count();
        if !length.contains(&found) {
            self.mistake(format_args!(
                "expected {} to {} characters, found {found}",
                length.start(),
                length.end()
            ));
            return None;
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            self.mistake(format_args!("expected no control characters, found {control:?}"));
            return None;
        }
        Some(text)
    }

    /// A string that some type can be made of.
    pub fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let text = self.string()?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(reason) => {
                self.mistake(format_args!("{reason}; found {:?}", shortened(text)));
                None
            }
        }
    }

    /// A boolean.
    pub fn boolean(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type("true or false");
        }
        flag
    }

    /// A whole number in a range.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format_args!("a whole number from {} to {}", range.start(), range.end());
        match (self.value.as_u64(), self.value) {
            (Some(number), _) if range.contains(&number) => return Some(number),
            (_, Value::Number(number)) => self.mistake(format_args!("expected {expected}, found {number}")),
            _ => self.wrong_type(expected),
        }
        None
    }

    /// A number in a range.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let expected = format_args!("a number from {} to {}", range.start(), range.end());
        match (self.value.as_f64(), self.value) {
            (Some(number), _) if range.contains(&number) => return Some(number),
            (_, Value::Number(number)) => self.mistake(format_args!("expected {expected}, found {number}")),
            _ => self.wrong_type(expected),
        }
        None
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let choice = choices.iter().find(|(word, _)| *word == text);
        if choice.is_none() {
            self.mistake(format_args!("expected {}, found {:?}", Words(choices), shortened(text)));
        }
        choice.map(|(_, value)| *value)
    }

    /// The items of an array with at most so many.
    pub fn items(&'a self, most: usize) -> Option<impl ExactSizeIterator<Item = Node<'a>>> {
        let Some(items) = self.value.as_array() else {
            self.wrong_type("an array");
            return None;
        };
        if items.len() > most {
            self.mistake(format_args!("expected at most {most} items, found {}", items.len()));
            return None;
        }
        Some(items.iter().enumerate().map(|(index, value)| self.child(value, Step::Index(index))))
    }

    /// Reads every item of an array with at most so many; `None` if one of them can't be read.
    pub fn list<T>(&self, most: usize, mut read: impl FnMut(Node<'_>) -> Option<T>) -> Option<Vec<T>> {
        let items = self.items(most)?;
        let mut list = Vec::with_capacity(items.len());
        let mut whole = true;
        for item in items {
            match read(item) {
                Some(item) => list.push(item),
                None => whole = false,
            }
        }
        whole.then_some(list)
    }

    /// The members of an object whose keys the user picks.
    pub fn entries(&'a self) -> Option<impl ExactSizeIterator<Item = (&'a String, Node<'a>)>> {
        let members = self.object()?;
        Some(members.iter().map(|(key, value)| (key, self.child(value, Step::Key(key)))))
    }

    /// An object, as it is.
    pub fn object(&self) -> Option<&'a Map<String, Value>> {
        let members = self.value.as_object();
        if members.is_none() {
            self.wrong_type("an object");
        }
        members
    }

    /// The fields of an object; those that aren't `known` are mistakes, unless the input is stored.
    pub fn fields(&'a self, known: &[&str]) -> Option<Fields<'a>> {
        let members = self.object()?;
        for (key, value) in members {
            if !known.contains(&key.as_str()) && !self.mistakes.takes_unknown_fields {
                let known = known.join("`, `");
                self.child(value, Step::Key(key)).mistake(format_args!("unknown field; known are `{known}`"));
            }
        }
        Some(Fields { node: self, members })
    }

    /// The word in field `name` that says which fields the object has; its other fields aren't looked at.
    pub fn tag<T: Copy>(&'a self, name: &'a str, choices: &[(&str, T)]) -> Option<T> {
        let members = self.object()?;
        Fields { node: self, members }.need(name, |node| node.word(choices))
    }

    fn child(&'a self, value: &'a Value, step: Step<'a>) -> Self {
        Node { value, path: Path(Some((&self.path, step))), mistakes: self.mistakes }
    }
}

/// An object whose fields are known.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    node: &'a Node<'a>,
    members: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Reads a field that must be there.
    pub fn need<T>(&self, name: &'a str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        self.required(name).and_then(read)
    }

    /// Reads a field that may be absent: `Some(None)` then.
    pub fn maybe<T>(&self, name: &'a str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<Option<T>> {
        match self.field(name) {
            None => Some(None),
            Some(node) => read(node).map(Some),
        }
    }

    /// Reads a field that has a default.
    pub fn or<T>(&self, name: &'a str, default: T, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        self.maybe(name, read).map(|value| value.unwrap_or(default))
    }

    // The two that follow are compiled once, and not in each of the many readers.

    #[inline(never)]
    fn field(&self, name: &'a str) -> Option<Node<'a>> {
        self.members.get(name).map(|value| self.node.child(value, Step::Key(name)))
    }

    #[inline(never)]
    fn required(&self, name: &'a str) -> Option<Node<'a>> {
        let field = self.field(name);
        if field.is_none() {
            self.node.mistake_at(name, "is required");
        }
        field
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The first characters of a found text: enough to recognise it, too few to fill an answer with.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(60).map_or(text, |(end, _)| &text[..end])
}

struct Words<'w, T>(&'w [(&'w str, T)]);

impl<T> Display for Words<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (word, _)) in self.0.iter().enumerate() {
            let before = match at {
                0 => "",
                _ if at + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}`{word}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads `value` and gives the mistakes as `pointer: message`.
    fn mistakes<T>(value: &Value, read: impl FnOnce(Node<'_>) -> Option<T>) -> Vec<String> {
        let mistakes = Mistakes::default();
        let outcome = read(Node::root(value, &mistakes));
        match mistakes.conclude(outcome) {
            Ok(_) => Vec::new(),
            Err(list) => list.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn wrong_types_say_what_was_found() {
        for (value, found) in [
            (json!(null), "null"),
            (json!(true), "a boolean"),
            (json!(1), "a number"),
            (json!([]), "an array"),
            (json!({}), "an object"),
        ] {
            assert_eq!(
                mistakes(&value, |n| n.string().map(|_| ())),
                [format!(": expected a string, found {found}")]
            );
        }
        assert_eq!(mistakes(&json!("x"), |n| n.boolean()), [": expected true or false, found a string"]);
        assert_eq!(
            mistakes(&json!("x"), |n| n.object().map(|_| ())),
            [": expected an object, found a string"]
        );
        assert_eq!(
            mistakes(&json!({}), |n| n.list(1, |_| Some(()))),
            [": expected an array, found an object"]
        );
    }

    #[test]
    fn numbers_have_ranges() {
        for (value, expected) in [
            (json!(5), None),
            (json!(4), Some(": expected a whole number from 5 to 6, found 4")),
            (json!(-1), Some(": expected a whole number from 5 to 6, found -1")),
            (json!(5.5), Some(": expected a whole number from 5 to 6, found 5.5")),
            (json!("5"), Some(": expected a whole number from 5 to 6, found a string")),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(mistakes(&value, |n| n.integer(5..=6)), expected);
        }
        assert!(mistakes(&json!(1), |n| n.number(1.0..=1.5)).is_empty());
        assert_eq!(
            mistakes(&json!(2), |n| n.number(1.0..=1.5)),
            [": expected a number from 1 to 1.5, found 2"]
        );
        assert_eq!(
            mistakes(&json!([]), |n| n.number(1.0..=1.5)),
            [": expected a number from 1 to 1.5, found an array"]
        );
    }

    #[test]
    fn texts_are_counted_in_characters() {
        assert!(mistakes(&json!("éé"), |n| n.text(1..=2).map(|_| ())).is_empty());
        assert_eq!(
            mistakes(&json!("ééé"), |n| n.text(1..=2).map(|_| ())),
            [": expected 1 to 2 characters, found 3"]
        );
        assert_eq!(
            mistakes(&json!("a\nb"), |n| n.text(1..=9).map(|_| ())),
            [r": expected no control characters, found '\n'"]
        );
    }

    #[test]
    fn words_are_listed() {
        let choices = [("a", 1), ("b", 2), ("c", 3)];
        assert_eq!(mistakes(&json!("x"), |n| n.word(&choices)), [": expected `a`, `b` or `c`, found \"x\""]);
        let long = json!("x".repeat(1_000));
        assert!(mistakes(&long, |n| n.word(&choices))[0].len() < 120);
    }

    #[test]
    fn all_mistakes_at_once_with_escaped_pointers() {
        let value = json!({"list": [1, "ok", null], "a/b~c": 1, "default": 3});
        let found = mistakes(&value, |node| {
            let fields = node.fields(&["list", "needed", "default"])?;
            let list = fields.need("list", |n| n.list(5, |item| item.string().map(str::to_owned)));
            let needed = fields.need("needed", |n| n.boolean());
            let default = fields.or("default", 1, |n| n.integer(1..=2));
            let absent = fields.or("absent", 7, |n| n.integer(1..=2));
            assert_eq!(absent, Some(7));
            Some((list?, needed?, default?))
        });
        assert_eq!(
            found,
            [
                "/a~1b~0c: unknown field; known are `list`, `needed`, `default`",
                "/list/0: expected a string, found a number",
                "/list/2: expected a string, found null",
                "/needed: is required",
                "/default: expected a whole number from 1 to 2, found 3",
            ]
        );
    }

    #[test]
    fn long_arrays_are_refused_unread() {
        let value = json!([1, 2, 3]);
        assert_eq!(
            mistakes(&value, |n| n.list(2, |_| -> Option<()> { panic!("read") })),
            [": expected at most 2 items, found 3"]
        );
    }

    #[test]
    fn mistakes_are_capped() {
        let value = json!(vec![0; 1_000]);
        assert_eq!(mistakes(&value, |n| n.list(1_000, |item| item.string().map(|_| ()))).len(), MAX_MISTAKES);
    }

    #[test]
    fn tags_pick_the_shape() {
        let choices = [("x", 1)];
        assert_eq!(mistakes(&json!({"other": 1}), |n| n.tag("type", &choices)), ["/type: is required"]);
        assert!(mistakes(&json!({"type": "x", "other": 1}), |n| n.tag("type", &choices)).is_empty());
    }

    #[test]
    fn giving_up_without_a_reason_is_still_an_error() {
        assert_eq!(Mistakes::default().conclude::<()>(None).unwrap_err().len(), 1);
    }
}
