//! What a template's source holds, told before the engine sees it: how much code, and which outputs it
//! uses, so that branches not taken are seen as well.

use core::iter::Peekable;
use core::str::CharIndices;

use super::{MAX_STATEMENTS, MAX_WORDS, TemplateError};

/// What [`scan`] found.
#[derive(Debug, Default)]
pub(super) struct Scan<'s> {
    /// All outputs named as `outputs.<action>.<name>`, with `["…"]` instead of a dot where wanted.
    pub references: Vec<Reference<'s>>,
    /// The line of the first other use of the word `outputs` in code: it could reach outputs that we don't
    /// see.
    pub unclear: Option<usize>,
}

/// An output that a template names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'s> {
    pub action: &'s str,
    pub name: &'s str,
}

/// Reads the source of a template, and tells code from text as the engine's own lexer does: where the two
/// end a block at different places, the engine finds a syntax error there. Outputs are checked again when a
/// request is rendered.
///
/// # Errors
///
/// More code than the engine, which recurses, can be trusted with.
pub(super) fn scan(source: &str) -> Result<Scan<'_>, TemplateError> {
    let mut scan = Scan::default();
    let mut statements = 0_usize;
    let mut at = 0;
    while let Some((kind, inside)) = next_block(source, at) {
        at = match kind {
            Block::Comment => source[inside..].find("#}").map_or(source.len(), |end| inside + end + 2),
            Block::Statement => {
                statements += 1;
                if statements > MAX_STATEMENTS {
                    return Err(TemplateError::TooManyStatements { line: line_of(source, inside) });
                }
                match after_raw(source, inside) {
                    Some(end) => end,
                    None => Code::new(source, inside).read('%', &mut scan)?,
                }
            }
            Block::Expression => Code::new(source, inside).read('}', &mut scan)?,
        };
    }
    Ok(scan)
}

enum Block {
    Comment,
    Expression,
    Statement,
}

/// The next `{{`, `{%` or `{#`, and where its inside starts.
fn next_block(source: &str, from: usize) -> Option<(Block, usize)> {
    let bytes = source.as_bytes();
    let start = (from..bytes.len().saturating_sub(1))
        .find(|&at| bytes[at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))?;
    let kind = match bytes[start + 1] {
        b'#' => Block::Comment,
        b'%' => Block::Statement,
        _ => Block::Expression,
    };
    Some((kind, start + 2))
}

/// Where the text after a `{% raw %}` ends, if the statement whose inside starts at `inside` is one.
fn after_raw(source: &str, inside: usize) -> Option<usize> {
    let mut at = inside + bare_tag(&source[inside..], "raw")?;
    while let Some(block) = source[at..].find("{%") {
        at += block + 2;
        if let Some(end) = bare_tag(&source[at..], "endraw") {
            return Some(at + end);
        }
    }
    Some(source.len())
}

/// Where a statement that is one word ends.
fn bare_tag(inside: &str, word: &str) -> Option<usize> {
    let rest = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_ascii_start();
    let rest = rest.strip_prefix(word)?.trim_ascii_start();
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(inside.len() - rest.len())
}

fn line_of(source: &str, at: usize) -> usize {
    1 + source[..at].matches('\n').count()
}

struct Code<'s> {
    source: &'s str,
    chars: Peekable<CharIndices<'s>>,
    inside: usize,
}

impl<'s> Code<'s> {
    fn new(source: &'s str, inside: usize) -> Self {
        Self { source, chars: source[inside..].char_indices().peekable(), inside }
    }

    /// Reads up to the end of the block and answers where that is.
    fn read(&mut self, closing: char, scan: &mut Scan<'s>) -> Result<usize, TemplateError> {
        let mut braces = 0_usize;
        let mut words = 0_usize;
        let mut after_dot = false;
        while let Some((at, c)) = self.chars.next() {
            if c.is_whitespace() {
                continue;
            }
            words += 1;
            if words > MAX_WORDS {
                return Err(TemplateError::TooMuchCode { line: line_of(self.source, self.inside + at) });
            }
            let was_after_dot = core::mem::replace(&mut after_dot, c == '.');
            match c {
                '"' | '\'' => self.skip_string(c),
                '{' => braces += 1,
                '}' if braces > 0 => braces -= 1,
                c if c == closing && self.chars.next_if(|&(_, next)| next == '}').is_some() => {
                    return Ok(self.position());
                }
                c if is_word(c) && self.word_from(at) == "outputs" && !was_after_dot => {
                    match (self.accessor(), self.accessor()) {
                        (Some(action), Some(name)) => scan.references.push(Reference { action, name }),
                        _ => {
                            scan.unclear.get_or_insert_with(|| line_of(self.source, self.inside + at));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(self.source.len())
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.source.len(), |(at, _)| self.inside + at)
    }

    fn word_from(&mut self, start: usize) -> &'s str {
        while self.chars.next_if(|&(_, c)| is_word(c)).is_some() {}
        let end = self.position();
        &self.source[self.inside + start..end]
    }

    fn skip_string(&mut self, quote: char) {
        while let Some((_, c)) = self.chars.next() {
            match c {
                '\\' => drop(self.chars.next()),
                _ if c == quote => return,
                _ => {}
            }
        }
    }

    fn skip_space(&mut self) {
        while self.chars.next_if(|&(_, c)| c.is_whitespace()).is_some() {}
    }

    /// `.word`, `["text"]` or `['text']`.
    fn accessor(&mut self) -> Option<&'s str> {
        self.skip_space();
        let bracket = self.chars.next_if(|&(_, c)| c == '.' || c == '[')?.1 == '[';
        self.skip_space();
        if !bracket {
            let (start, _) = self.chars.next_if(|&(_, c)| is_word(c))?;
            return Some(self.word_from(start));
        }
        let (start, quote) = self.chars.next_if(|&(_, c)| matches!(c, '"' | '\''))?;
        let text = &self.source[self.inside + start + 1..];
        self.skip_string(quote);
        self.skip_space();
        self.chars.next_if(|&(_, c)| c == ']')?;
        text.split(quote).next()
    }
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_outputs_in_code_only() {
        for (source, expected) in [
            ("", vec![]),
            ("outputs.a.b", vec![]),
            ("{{ outputs.a.b }}", vec!["a.b"]),
            ("{{outputs.a.b}}{{ outputs.c.d }}", vec!["a.b", "c.d"]),
            ("{{ outputs[\"create-order\"].order_id }}", vec!["create-order.order_id"]),
            ("{{ outputs['a']['b-c'].d[0] }}", vec!["a.b-c"]),
            ("{{ outputs . a [ 'b' ] }}", vec!["a.b"]),
            ("{{ outputs\n.a\n.b }}", vec!["a.b"]),
            ("{% if outputs.a.b %}{{ outputs.c.d|upper }}{% endif %}", vec!["a.b", "c.d"]),
            ("{{ f(outputs.a.b, x=outputs.c.d) }}", vec!["a.b", "c.d"]),
            ("{{ 'outputs' }}{{ \"{{ outputs\" }}", vec![]),
            ("{{ 'it\\'s outputs' }}{{ outputs.a.b }}", vec!["a.b"]),
            ("{# outputs #}{{ outputs.a.b }}", vec!["a.b"]),
            ("{{ event.outputs }}{{ event . outputs }}", vec![]),
            ("{{ my_outputs }}{{ outputs2 }}", vec![]),
            ("{{ {'k': {'x': 1}} }} {{ outputs.a.b }}", vec!["a.b"]),
            ("{{ {'k': outputs.a.b} }}", vec!["a.b"]),
            ("{{ 'é' ~ outputs.a.b }}é", vec!["a.b"]),
            ("{{- outputs.a.b -}}", vec!["a.b"]),
            ("{{ outputs.a.b", vec!["a.b"]),
            ("a { b {{ outputs.a.b }} } {", vec!["a.b"]),
            ("{% raw %}{{ outputs '{% endraw %}{{ outputs.a.b }}", vec!["a.b"]),
            ("{%- raw -%}{{ outputs }}{%+ endraw +%}{{ outputs.a.b }}", vec!["a.b"]),
            ("{% raw x %}{{ outputs.a.b }}", vec!["a.b"]),
            ("{% raw %}{{ outputs }}", vec![]),
        ] {
            let found = scan(source).unwrap();
            assert_eq!(found.unclear, None, "{source}");
            let found: Vec<_> = found.references.iter().map(|r| format!("{}.{}", r.action, r.name)).collect();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn sees_what_names_no_output() {
        for (source, line) in [
            ("{{ outputs }}", 1),
            ("{{ outputs.a }}", 1),
            ("\n{{ outputs[x].b }}", 2),
            ("{{ outputs['a'] }}", 1),
            ("{{ outputs.create-order.id }}", 1),
            ("{% set o = outputs %}", 1),
            ("{{ outputs|length }}", 1),
            ("{{\n\noutputs }}", 3),
            ("{{ outputs['a", 1),
            ("{{ outputs.", 1),
            ("{% for outputs in x %}", 1),
        ] {
            assert_eq!(scan(source).unwrap().unclear, Some(line), "{source}");
        }
    }

    #[test]
    fn code_is_limited_and_text_is_not() {
        let words = |count: usize| format!("\n{{{{ {} }}}}", "not ".repeat(count));
        // The end of the block counts, too.
        assert!(scan(&words(MAX_WORDS - 1)).is_ok());
        assert_eq!(scan(&words(MAX_WORDS)).unwrap_err(), TemplateError::TooMuchCode { line: 2 });
        for code in
            ["{{ '}}' ", "{{ {'a': '}'} ", "{% raw %}{{ '{% endraw %}{{ ", "{# ' #}{{ ", "{% if '%}' "]
        {
            assert!(scan(&format!("{code}{}", "-".repeat(MAX_WORDS + 1))).is_err(), "{code}");
        }
        let statements = |count: usize| "{% if 1 %}".repeat(count);
        assert!(scan(&statements(MAX_STATEMENTS)).is_ok());
        assert_eq!(
            scan(&statements(MAX_STATEMENTS + 1)).unwrap_err(),
            TemplateError::TooManyStatements { line: 1 }
        );
        assert!(scan(&"{{ a }} { b } ".repeat(1_000)).is_ok());
        assert!(scan(&format!("{{{{ '{}' }}}}", "- ".repeat(1_000))).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(source in r#"([{}%#'"\\.\[\]éa \n-]|outputs|\{\{|\}\}|\{%|%\}){0,30}"#) {
            let _ = scan(&source);
        }
    }
}
