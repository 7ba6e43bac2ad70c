//! What Python's `str()` makes of bytes and of parsed JSON, when they end up in an f-string.

use super::json_text::Node;
use super::number;

/// As `str(b"…")` prints: `b'…'`.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut out = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => {
                if char::from(byte) == quote {
                    out.push('\\');
                }
                out.push(char::from(byte));
            }
            _ => hex(byte, &mut out),
        }
    }
    out.push(quote);
    out
}

/// As `str(json.loads(…))` prints.
pub(super) fn value(node: &Node<'_>) -> String {
    let mut out = String::new();
    value_to(node, &mut out);
    out
}

fn value_to(node: &Node<'_>, out: &mut String) {
    match node {
        Node::Null => out.push_str("None"),
        Node::Bool(true) => out.push_str("True"),
        Node::Bool(false) => out.push_str("False"),
        Node::Number(text) => out.push_str(&number::python(text)),
        Node::Text(text) => string(text, out),
        Node::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                value_to(item, out);
            }
            out.push(']');
        }
        Node::Map(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                string(key, out);
                out.push_str(": ");
                value_to(value, out);
            }
            out.push('}');
        }
    }
}

fn string(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' => hex(character as u8, out),
            _ => {
                if character == quote {
                    out.push('\\');
                }
                out.push(character);
            }
        }
    }
    out.push(quote);
}

fn hex(byte: u8, out: &mut String) {
    out.push_str("\\x");
    for digit in [byte >> 4, byte & 0xf] {
        out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::doctor::json_text::parse;

    /// Written down from `python3`.
    #[test]
    fn prints_bytes() {
        let cases: [(&[u8], &str); 5] = [
            (b"", "b''"),
            (b"{\"a\": 1}", "b'{\"a\": 1}'"),
            (b"it's", "b\"it's\""),
            (b"it's \"", "b'it\\'s \"'"),
            (b"\\\n\r\t\0\x7f\xc3\xb8", "b'\\\\\\n\\r\\t\\x00\\x7f\\xc3\\xb8'"),
        ];
        for (given, expected) in cases {
            assert_eq!(bytes(given), expected);
        }
    }

    #[test]
    fn prints_values() {
        let text = r#"{"a":[1,1.0,true,false,null,{}],"it's":"it's \"","ø\n\u007f":"\\"}"#;
        let expected = r#"{'a': [1, 1.0, True, False, None, {}], "it's": 'it\'s "', 'ø\n\x7f': '\\'}"#;
        assert_eq!(value(&parse(text).unwrap()), expected);
    }
}
