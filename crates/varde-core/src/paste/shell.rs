//! A command line taken apart as bash does it: quotes, escapes, continued lines.

use super::{At, Fault};

/// A word with the place where it starts. Bytes, because `$'\xff'` can write any.
pub(super) struct Word {
    pub(super) at: usize,
    pub(super) bytes: Vec<u8>,
}

/// The words of the one command that starts at `start`; what follows it (`|`, `;`, a new line) is left.
pub(super) fn words(text: &str, start: usize) -> Result<Vec<Word>, At> {
    let mut reader = Reader { text, at: start };
    let mut words = Vec::new();
    while let Some(word) = reader.word()? {
        words.push(word);
    }
    Ok(words)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip(&mut self, text: &str) -> bool {
        let skipped = self.rest().starts_with(text);
        if skipped {
            self.at += text.len();
        }
        skipped
    }

    /// A backslash at the end of a line; Windows' line ends included.
    fn skip_continuation(&mut self) -> bool {
        self.skip("\\\n") || self.skip("\\\r\n")
    }

    fn word(&mut self) -> Result<Option<Word>, At> {
        while self.skip_continuation() || self.skip(" ") || self.skip("\t") {}
        let at = self.at;
        let mut bytes = Vec::new();
        match self.peek() {
            None | Some('\n' | '\r' | '|' | ';' | '&' | '<' | '>' | '#' | ')') => return Ok(None),
            _ => {}
        }
        while let Some(next) = self.peek() {
            if self.skip_continuation() {
                continue;
            }
            match next {
                // A lone `&` in a word is a URL's, pasted without quotes.
                ' ' | '\t' | '\n' | '\r' | '|' | ';' | '<' | '>' => break,
                '\'' => self.single(&mut bytes)?,
                '"' => self.double(&mut bytes)?,
                '$' => self.dollar(&mut bytes)?,
                '`' => return Err((self.at, Fault::Expansion { found: "`".to_owned() })),
                '\\' => {
                    self.take();
                    match self.take() {
                        Some(escaped) => push(&mut bytes, escaped),
                        None => bytes.push(b'\\'),
                    }
                }
                other => {
                    self.take();
                    push(&mut bytes, other);
                }
            }
        }
        Ok(Some(Word { at, bytes }))
    }

    fn single(&mut self, bytes: &mut Vec<u8>) -> Result<(), At> {
        let at = self.at;
        self.take();
        let Some(end) = self.rest().find('\'') else { return Err((at, Fault::OpenQuote { quote: "'" })) };
        bytes.extend_from_slice(&self.rest().as_bytes()[..end]);
        self.at += end + 1;
        Ok(())
    }

    fn double(&mut self, bytes: &mut Vec<u8>) -> Result<(), At> {
        let at = self.at;
        self.take();
        loop {
            if self.skip_continuation() {
                continue;
            }
            let before = self.at;
            match self.take() {
                None => return Err((at, Fault::OpenQuote { quote: "\"" })),
                Some('"') => return Ok(()),
                Some('\\') => match self.peek() {
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => {
                        self.take();
                        push(bytes, escaped);
                    }
                    _ => bytes.push(b'\\'),
                },
                Some('$') => {
                    if let Some(found) = expansion(self.rest()) {
                        return Err((before, Fault::Expansion { found }));
                    }
                    bytes.push(b'$');
                }
                Some('`') => return Err((before, Fault::Expansion { found: "`".to_owned() })),
                Some(other) => push(bytes, other),
            }
        }
    }

    fn dollar(&mut self, bytes: &mut Vec<u8>) -> Result<(), At> {
        let at = self.at;
        self.take();
        if self.skip("'") {
            return self.ansi(at, bytes);
        }
        // `$"…"` is translated text: the same text, as a rule.
        if self.peek() == Some('"') {
            return self.double(bytes);
        }
        if let Some(found) = expansion(self.rest()) {
            return Err((at, Fault::Expansion { found }));
        }
        bytes.push(b'$');
        Ok(())
    }

    /// Bash's manual, section 3.1.2.4.
    fn ansi(&mut self, at: usize, bytes: &mut Vec<u8>) -> Result<(), At> {
        loop {
            let before = self.at;
            match self.take() {
                None => return Err((at, Fault::OpenQuote { quote: "$'" })),
                Some('\'') => return Ok(()),
                Some('\\') => {
                    let escape = self.take();
                    if !self.escaped(escape, bytes) {
                        let escape = self.text.get(before..self.at).unwrap_or_default().to_owned();
                        return Err((before, Fault::Escape { escape }));
                    }
                }
                Some(other) => push(bytes, other),
            }
        }
    }

    fn escaped(&mut self, escape: Option<char>, bytes: &mut Vec<u8>) -> bool {
        let byte = match escape {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some('a') => 7,
            Some('b') => 8,
            Some('e' | 'E') => 27,
            Some('f') => 12,
            Some('v') => 11,
            Some(same @ ('\\' | '\'' | '"' | '?')) => same as u8,
            Some('x') => return self.number(16, 2).map(|value| bytes.push(value as u8)).is_some(),
            Some('u') => return self.character(4, bytes),
            Some('U') => return self.character(8, bytes),
            Some('0'..='7') => {
                self.at -= 1;
                return self.number(8, 3).map(|value| bytes.push(value as u8)).is_some();
            }
            _ => return false,
        };
        bytes.push(byte);
        true
    }

    /// Up to so many digits.
    fn number(&mut self, radix: u32, most: usize) -> Option<u32> {
        let digits = self.rest().chars().take(most).take_while(|digit| digit.is_digit(radix)).count();
        let value = u32::from_str_radix(self.rest().get(..digits)?, radix).ok();
        self.at += digits;
        value
    }

    /// A character by its number; browsers write those beyond U+FFFF as two halves.
    fn character(&mut self, digits: usize, bytes: &mut Vec<u8>) -> bool {
        let Some(first) = self.number(16, digits) else { return false };
        let mut value = first;
        if (0xd800..0xdc00).contains(&first) && self.skip("\\u") {
            let Some(second @ 0xdc00..0xe000) = self.number(16, 4) else { return false };
            value = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
        char::from_u32(value).map(|character| push(bytes, character)).is_some()
    }
}

/// What a `$` before `rest` stands for, if the shell puts something in its place.
fn expansion(rest: &str) -> Option<String> {
    let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name.starts_with(|c: char| !c.is_ascii_digit()) {
        return Some(format!("${name}"));
    }
    rest.starts_with(['{', '(']).then(|| format!("${}", &rest[..1]))
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
