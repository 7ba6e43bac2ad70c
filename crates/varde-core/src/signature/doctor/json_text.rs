//! JSON as other languages write it: parsed without losing how its numbers are spelled, written in a style.
//!
//! `serde_json::Value` won't do here: it forgets `1.0` against `1.00`, large integers and doubled keys,
//! and each of them is a byte of what was signed.

use std::borrow::Cow;

use super::number;

/// Deepest nesting that is read, as `serde_json` has it; beyond it the text isn't looked into.
const MAX_DEPTH: usize = 128;

/// A JSON value. Numbers keep their spelling, maps their order and their doubled keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// How one writer of JSON writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Between the items of a list or map.
    pub(super) comma: &'static str,
    /// Between a key and its value.
    pub(super) colon: &'static str,
    /// What a level of nesting is indented by, each item on its own line.
    pub(super) indent: Option<&'static str>,
    pub(super) escapes: Escapes,
    pub(super) numbers: Numbers,
    pub(super) keys: Keys,
}

impl Style {
    /// No white space, nothing escaped that needn't be, everything else as it is.
    pub(super) const COMPACT: Self = Self {
        comma: ",",
        colon: ":",
        indent: None,
        escapes: Escapes::NONE,
        numbers: Numbers::AsTheyAre,
        keys: Keys::AsTheyAre,
    };
}

/// What is escaped beyond quotes, backslashes and control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escapes {
    /// Characters from here on, as `\u` and UTF-16. Python and .NET start with DEL, PHP after it.
    pub(super) from: char,
    /// `/` as `\/`.
    pub(super) slash: bool,
    /// These characters as `\u00…`.
    pub(super) also: &'static str,
    /// Hex digits in upper case.
    pub(super) upper: bool,
    /// `"` as `\u0022`.
    pub(super) quote: bool,
}

impl Escapes {
    pub(super) const NONE: Self =
        Self { from: char::MAX, slash: false, also: "", upper: false, quote: false };
}

/// How numbers with a fraction or an exponent are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    AsTheyAre,
    /// As doubles, and integers beyond 2^53 too.
    Javascript,
    /// As doubles; integers stay.
    Python,
}

/// In which order the keys of a map are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    AsTheyAre,
    /// Keys that look like array indices first, by number: the order of JavaScript's own properties.
    IndicesFirst,
    Sorted,
}

/// Reads a whole JSON text; `None` for what isn't one, for lone surrogates, and below [`MAX_DEPTH`].
pub(super) fn parse(text: &str) -> Option<Node<'_>> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(MAX_DEPTH)?;
    reader.space();
    (reader.at == text.len()).then_some(node)
}

/// Writes a value in a style.
pub(super) fn write(node: &Node<'_>, style: &Style) -> String {
    let mut out = String::new();
    write_at(node, style, 0, &mut out);
    out
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &str) -> Option<()> {
        self.rest().starts_with(token).then(|| self.at += token.len())
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        self.space();
        match self.peek()? {
            b'n' => self.eat("null").map(|()| Node::Null),
            b't' => self.eat("true").map(|()| Node::Bool(true)),
            b'f' => self.eat("false").map(|()| Node::Bool(false)),
            b'"' => self.string().map(Node::Text),
            b'[' => self.list(depth.checked_sub(1)?),
            b'{' => self.map(depth.checked_sub(1)?),
            _ => self.number(),
        }
    }

    fn list(&mut self, depth: usize) -> Option<Node<'a>> {
        let mut items = Vec::new();
        self.eat("[")?;
        self.space();
        if self.eat("]").is_some() {
            return Some(Node::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.eat("]").is_some() {
                return Some(Node::List(items));
            }
            self.eat(",")?;
        }
    }

    fn map(&mut self, depth: usize) -> Option<Node<'a>> {
        let mut members = Vec::new();
        self.eat("{")?;
        self.space();
        if self.eat("}").is_some() {
            return Some(Node::Map(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.eat(":")?;
            members.push((key, self.value(depth)?));
            self.space();
            if self.eat("}").is_some() {
                return Some(Node::Map(members));
            }
            self.eat(",")?;
        }
    }

    fn number(&mut self) -> Option<Node<'a>> {
        let length = self
            .rest()
            .bytes()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let text = self.rest().get(..length)?;
        number::is_json(text).then(|| {
            self.at += length;
            Node::Number(text)
        })
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.eat("\"")?;
        let mut decoded = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
            let text = rest.get(..plain)?;
            self.at += plain + 1;
            match rest.as_bytes().get(plain)? {
                b'"' if decoded.is_empty() => return Some(Cow::Borrowed(text)),
                b'"' => {
                    decoded.push_str(text);
                    return Some(Cow::Owned(decoded));
                }
                b'\\' => {
                    decoded.push_str(text);
                    decoded.push(self.escape()?);
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let kind = self.peek()?;
        self.at += 1;
        Some(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xd800..0xe000).contains(&first) {
                    return char::from_u32(first.into());
                }
                self.eat("\\u")?;
                let pair = [first, self.unit()?];
                return char::decode_utf16(pair).next()?.ok();
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }
}

fn write_at(node: &Node<'_>, style: &Style, level: usize, out: &mut String) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(true) => out.push_str("true"),
        Node::Bool(false) => out.push_str("false"),
        Node::Number(text) => out.push_str(&match style.numbers {
            Numbers::AsTheyAre => Cow::Borrowed(*text),
            Numbers::Javascript => number::javascript(text),
            Numbers::Python => number::python(text),
        }),
        Node::Text(text) => write_string(text, style.escapes, out),
        Node::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(at, style, level + 1, out);
                write_at(item, style, level + 1, out);
            }
            finish(items.is_empty(), style, level, out);
            out.push(']');
        }
        Node::Map(members) => {
            out.push('{');
            for (at, (key, value)) in ordered(members, style.keys).into_iter().enumerate() {
                separate(at, style, level + 1, out);
                write_string(key, style.escapes, out);
                out.push_str(style.colon);
                write_at(value, style, level + 1, out);
            }
            finish(members.is_empty(), style, level, out);
            out.push('}');
        }
    }
}

fn separate(at: usize, style: &Style, level: usize, out: &mut String) {
    if at > 0 {
        out.push_str(style.comma);
    }
    new_line(style, level, out);
}

fn finish(empty: bool, style: &Style, level: usize, out: &mut String) {
    if !empty {
        new_line(style, level, out);
    }
}

fn new_line(style: &Style, level: usize, out: &mut String) {
    if let Some(indent) = style.indent {
        out.push('\n');
        for _ in 0..level {
            out.push_str(indent);
        }
    }
}

fn ordered<'n, 'a>(members: &'n [(Cow<'a, str>, Node<'a>)], keys: Keys) -> Vec<&'n (Cow<'a, str>, Node<'a>)> {
    let mut ordered: Vec<_> = members.iter().collect();
    match keys {
        Keys::AsTheyAre => {}
        Keys::Sorted => ordered.sort_by(|(left, _), (right, _)| left.cmp(right)),
        Keys::IndicesFirst => ordered.sort_by_key(|(key, _)| index(key).map_or(u64::MAX, u64::from)),
    }
    ordered
}

/// A property key that JavaScript takes for an array index: a number below 2^32 - 1 in plain digits.
fn index(key: &str) -> Option<u32> {
    let number: u32 =
        if key.bytes().all(|byte| byte.is_ascii_digit()) { key.parse().ok()? } else { return None };
    (number != u32::MAX && (key == "0" || !key.starts_with('0'))).then_some(number)
}

/// Writes a JSON string, quotes included.
pub(super) fn write_string(text: &str, escapes: Escapes, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' if escapes.quote => unit(0x22, escapes.upper, out),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' if escapes.slash => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => unit(character as u16, escapes.upper, out),
            _ if character >= escapes.from || escapes.also.contains(character) => {
                let mut units = [0; 2];
                for &mut code in character.encode_utf16(&mut units) {
                    unit(code, escapes.upper, out);
                }
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn unit(code: u16, upper: bool, out: &mut String) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit(u32::from(code >> shift & 0xf), 16).unwrap_or('0');
        out.push(if upper { digit.to_ascii_uppercase() } else { digit });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(text: &str, style: &Style) -> String {
        write(&parse(text).unwrap(), style)
    }

    #[test]
    fn compact_keeps_spellings_orders_and_doubled_keys() {
        let text = " { \"b\" : [ 1.0 , -0, 1e3, 12345678901234567890 ] ,\r\n\t\"a\":{}, \"a\" : [\n] , \"c\":[true,false,null] } ";
        let expected = r#"{"b":[1.0,-0,1e3,12345678901234567890],"a":{},"a":[],"c":[true,false,null]}"#;
        assert_eq!(rewritten(text, &Style::COMPACT), expected);
    }

    #[test]
    fn strings_are_decoded_and_written_anew() {
        let text = r#""\u00f8\ud83d\ude00\/\"\\\b\f\n\r\t\u0001\u007f<ø""#;
        assert_eq!(rewritten(text, &Style::COMPACT), "\"ø😀/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\u{7f}<ø\"");
        let php = Escapes { from: '\u{80}', slash: true, ..Escapes::NONE };
        let style = Style { escapes: php, ..Style::COMPACT };
        assert_eq!(rewritten(r#""ø😀/<""#, &style), r#""\u00f8\ud83d\ude00\/<""#);
        assert_eq!(rewritten("\"\u{7f}\"", &style), "\"\u{7f}\"");
        let dotnet = Escapes { from: '\u{7f}', also: "<>&+'`", upper: true, quote: true, ..Escapes::NONE };
        let style = Style { escapes: dotnet, ..Style::COMPACT };
        assert_eq!(rewritten(r#""\"ø<+/""#, &style), r#""\u0022\u00F8\u003C\u002B/""#);
    }

    #[test]
    fn indents_as_the_common_writers_do() {
        let style = Style { comma: ",", colon: ": ", indent: Some("  "), ..Style::COMPACT };
        let text = r#"{"a":{},"b":[],"c":[1,{"d":2}]}"#;
        let expected =
            "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": 2\n    }\n  ]\n}";
        assert_eq!(rewritten(text, &style), expected);
    }

    #[test]
    fn orders_keys() {
        let text = r#"{"b":0,"10":0,"a":0,"9":0,"01":0,"4294967295":0,"4294967294":0}"#;
        let keys = |keys| rewritten(text, &Style { keys, ..Style::COMPACT }).replace(":0", "");
        assert_eq!(keys(Keys::Sorted), r#"{"01","10","4294967294","4294967295","9","a","b"}"#);
        assert_eq!(keys(Keys::IndicesFirst), r#"{"9","10","4294967294","b","a","01","4294967295"}"#);
    }

    #[test]
    fn what_is_not_json_is_not_read() {
        for bad in [
            "",
            " ",
            "nul",
            "tru",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"a\nb\"",
            "1 2",
            "{} {}",
            "01",
            "1.",
            "+1",
            "NaN",
            "\u{feff}{}",
            "[1}",
            "\"\\uø000\"",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_some());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_none());
        assert!(parse(&"[".repeat(1_000_000)).is_none());
    }

    proptest! {
        /// What `serde_json` reads and writes, this reads and writes alike.
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",: 0-9a\\uø.e-]{0,24}"#) {
            let other = serde_json::from_str::<serde_json::Value>(&text);
            // Its numbers have a range, and its strings may end in the middle of a pair; ours don't.
            if let Ok(value) = &other {
                prop_assert!(parse(&text).is_some(), "{} {}", text, value);
            } else if parse(&text).is_some() {
                prop_assert!(other.unwrap_err().to_string().contains("out of range"), "{}", text);
            }
        }

        #[test]
        fn writing_is_stable(text in ".{0,60}") {
            let mut quoted = String::new();
            write_string(&text, Escapes::NONE, &mut quoted);
            prop_assert_eq!(parse(&quoted), Some(Node::Text(text.clone().into())));
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text.clone());
            let ascii = Escapes { from: '\u{7f}', slash: true, also: "<", upper: true, quote: true };
            let mut escaped = String::new();
            write_string(&text, ascii, &mut escaped);
            prop_assert!(escaped.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
