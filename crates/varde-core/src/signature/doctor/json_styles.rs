//! How the common writers of JSON write it.

use super::json_text::{Escapes, Keys, Numbers, Style};
use super::mistake::Mistake;

/// `json.dumps` with `ensure_ascii`.
const PYTHON_ASCII: Escapes = Escapes { from: '\u{7f}', ..Escapes::NONE };
/// `json_encode` without flags.
const PHP: Escapes = Escapes { from: '\u{80}', slash: true, ..Escapes::NONE };
/// Go, Rails.
const HTML: Escapes = Escapes { also: "<>&\u{2028}\u{2029}", ..Escapes::NONE };
/// Gson.
const GSON: Escapes = Escapes { also: "<>&='\u{2028}\u{2029}", ..Escapes::NONE };
/// `System.Text.Json` with its default encoder.
const DOTNET: Escapes = Escapes { from: '\u{7f}', slash: false, also: "<>&+'`", upper: true, quote: true };

const SPACED: Style = Style { comma: ", ", colon: ": ", numbers: Numbers::Python, ..Style::COMPACT };
const PYTHON: Style = Style { escapes: PYTHON_ASCII, ..SPACED };
const ASCII: Style = Style { escapes: PYTHON_ASCII, numbers: Numbers::Python, ..Style::COMPACT };
const BY_PHP: Style = Style { escapes: PHP, numbers: Numbers::Javascript, ..Style::COMPACT };

const fn sorted(style: Style) -> Style {
    Style { keys: Keys::Sorted, ..style }
}

const fn indented(indent: &'static str, style: Style) -> Style {
    Style { comma: ",", colon: ": ", indent: Some(indent), ..style }
}

/// Each style with the mistakes that it stands for.
pub(super) const STYLES: &[(&[Mistake], Style)] = &[
    (&[Mistake::BodyJsonCompact], Style::COMPACT),
    (
        &[Mistake::BodyJsonJavascript],
        Style { numbers: Numbers::Javascript, keys: Keys::IndicesFirst, ..Style::COMPACT },
    ),
    (&[Mistake::BodyJsonPython], PYTHON),
    (&[Mistake::BodyJsonSpaced], SPACED),
    (&[Mistake::BodyJsonAscii], ASCII),
    (&[Mistake::BodyJsonAscii], Style { escapes: Escapes { from: '\u{80}', ..Escapes::NONE }, ..BY_PHP }),
    (&[Mistake::BodyJsonPhp], BY_PHP),
    (&[Mistake::BodyJsonSlashes], Style { escapes: Escapes { slash: true, ..Escapes::NONE }, ..BY_PHP }),
    (&[Mistake::BodyJsonSorted], sorted(Style::COMPACT)),
    (&[Mistake::BodyJsonSorted, Mistake::BodyJsonPython], sorted(PYTHON)),
    (&[Mistake::BodyJsonSorted, Mistake::BodyJsonSpaced], sorted(SPACED)),
    (&[Mistake::BodyJsonSorted, Mistake::BodyJsonAscii], sorted(ASCII)),
    (&[Mistake::BodyJsonGo], sorted(Style { escapes: HTML, numbers: Numbers::Javascript, ..Style::COMPACT })),
    (&[Mistake::BodyJsonHtmlSafe], Style { escapes: HTML, ..Style::COMPACT }),
    (&[Mistake::BodyJsonHtmlSafe], Style { escapes: GSON, ..Style::COMPACT }),
    (&[Mistake::BodyJsonDotnet], Style { escapes: DOTNET, ..Style::COMPACT }),
    (&[Mistake::BodyJsonIndented], indented("  ", Style::COMPACT)),
    (&[Mistake::BodyJsonIndented], indented("    ", Style::COMPACT)),
    (&[Mistake::BodyJsonIndented], indented("\t", Style::COMPACT)),
    (&[Mistake::BodyJsonIndented], indented("  ", PYTHON)),
    (&[Mistake::BodyJsonIndented], indented("    ", PYTHON)),
    (&[Mistake::BodyJsonIndented], indented("    ", BY_PHP)),
    (&[Mistake::BodyJsonSorted, Mistake::BodyJsonIndented], sorted(indented("  ", Style::COMPACT))),
    (&[Mistake::BodyJsonSorted, Mistake::BodyJsonIndented], sorted(indented("    ", PYTHON))),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::doctor::json_text::{parse, write};

    /// Written down from the writers that the mistakes name.
    #[test]
    fn styles_write_as_there() {
        let text = r#"{"b":"ø/<'\"","a":[1.0,{}]}"#;
        let node = parse(text).unwrap();
        let by = |mistake: Mistake| {
            let (_, style) = STYLES.iter().find(|(mistakes, _)| *mistakes == [mistake]).unwrap();
            write(&node, style)
        };
        let cases = [
            (Mistake::BodyJsonCompact, r#"{"b":"ø/<'\"","a":[1.0,{}]}"#),
            (Mistake::BodyJsonJavascript, r#"{"b":"ø/<'\"","a":[1,{}]}"#),
            (Mistake::BodyJsonPython, r#"{"b": "\u00f8/<'\"", "a": [1.0, {}]}"#),
            (Mistake::BodyJsonSpaced, r#"{"b": "ø/<'\"", "a": [1.0, {}]}"#),
            (Mistake::BodyJsonAscii, r#"{"b":"\u00f8/<'\"","a":[1.0,{}]}"#),
            (Mistake::BodyJsonPhp, r#"{"b":"\u00f8\/<'\"","a":[1,{}]}"#),
            (Mistake::BodyJsonSlashes, r#"{"b":"ø\/<'\"","a":[1,{}]}"#),
            (Mistake::BodyJsonSorted, r#"{"a":[1.0,{}],"b":"ø/<'\""}"#),
            (Mistake::BodyJsonGo, r#"{"a":[1,{}],"b":"ø/\u003c'\""}"#),
            (Mistake::BodyJsonHtmlSafe, r#"{"b":"ø/\u003c'\"","a":[1.0,{}]}"#),
            (Mistake::BodyJsonDotnet, r#"{"b":"\u00F8/\u003C\u0027\u0022","a":[1.0,{}]}"#),
            (Mistake::BodyJsonIndented, "{\n  \"b\": \"ø/<'\\\"\",\n  \"a\": [\n    1.0,\n    {}\n  ]\n}"),
        ];
        for (mistake, expected) in cases {
            assert_eq!(by(mistake), expected, "{}", mistake.code());
        }
    }
}
