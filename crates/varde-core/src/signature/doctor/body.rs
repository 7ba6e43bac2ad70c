//! The bodies that may have been signed instead of the one that was given.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::axis::{Axis, Variant, rank};
use super::charset::{self, Charset};
use super::json_styles::STYLES;
use super::json_text::{self, Escapes, Node};
use super::mistake::Mistake;
use super::{python, query};

/// Most bytes that are written for pairs of changes to the body, the likeliest first: about all pairs of a
/// body of 2 KB, none for a large one.
const MAX_PAIR_BYTES: usize = 1 << 20;
/// Pairs of changes that are less likely than this together aren't tried.
const MAX_PAIR_COST: u32 = 4;
/// What an empty body is taken for.
const PLACEHOLDERS: [&str; 8] = ["{}", "null", "undefined", "None", "[]", "\"\"", "b''", "''"];

/// One change. Two of one place don't go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    /// By its index in [`STYLES`].
    Json(usize),
    JsonString,
    JsonStringOpened,
    ObjectObject,
    PythonDict,
    PythonBytes,
    LeftOut,
    Placeholder(&'static str),
    CrlfToLf,
    LfToCrlf,
    Added(&'static str),
    NewlineRemoved,
    NewlinesRemoved,
    Trimmed,
    BomAdded,
    BomRemoved,
    Written(Charset),
    ReadAs(Charset),
    Replaced,
    Ascii,
    Utf16,
    Base64,
    Base64Decoded,
    /// By its index in what [`query::reencoded`] returns.
    Form(usize),
}

/// A body, looked into once.
struct Source<'a> {
    bytes: &'a [u8],
    text: Option<&'a str>,
    json: Option<Node<'a>>,
}

impl<'a> Source<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let text = core::str::from_utf8(bytes).ok();
        Self { bytes, text, json: text.and_then(json_text::parse) }
    }
}

/// All bodies to try.
pub(super) fn axis(given: &[u8]) -> Axis<Cow<'_, [u8]>> {
    let source = Source::of(given);
    let mut axis = Axis::of(Cow::Borrowed(given));
    let mut useful = Vec::new();
    for edit in all_edits() {
        if let Some(bytes) = edit.apply(&source)
            && bytes != given
        {
            let mistakes = edit.mistakes(&bytes);
            if mistakes.len() == 1 {
                useful.push((
                    edit,
                    Variant { value: bytes.clone(), mistakes: mistakes.clone(), also: Vec::new() },
                ));
            }
            axis.add(Cow::Owned(bytes), &mistakes);
        }
    }
    add_pairs(&useful, &mut axis);
    axis
}

fn add_pairs(useful: &[(Edit, Variant<Vec<u8>>)], axis: &mut Axis<Cow<'_, [u8]>>) {
    let mut pairs = Vec::new();
    for (one, first) in useful {
        // A change that does nothing to the given body may do something to the changed one.
        for other in all_edits() {
            let both: Vec<Mistake> = first.mistakes.iter().copied().chain(other.mistakes(NOT_UTF8)).collect();
            let (count, cost) = rank(&both);
            if one.place() != other.place() && count == 2 && cost <= MAX_PAIR_COST {
                pairs.push((cost, first, other));
            }
        }
    }
    pairs.sort_by_key(|&(cost, ..)| cost);
    let mut written = 0;
    for (_, first, other) in pairs {
        written += first.value.len();
        if written > MAX_PAIR_BYTES {
            return;
        }
        if let Some(bytes) = other.apply(&Source::of(&first.value)) {
            let mistakes: Vec<Mistake> =
                first.mistakes.iter().copied().chain(other.mistakes(&bytes)).collect();
            axis.add(Cow::Owned(bytes), &mistakes);
        }
    }
}

fn all_edits() -> Vec<Edit> {
    let mut edits: Vec<Edit> = (0..STYLES.len()).map(Edit::Json).collect();
    edits.extend([
        Edit::LeftOut,
        Edit::CrlfToLf,
        Edit::LfToCrlf,
        Edit::Added("\n"),
        Edit::Added("\r\n"),
        Edit::NewlineRemoved,
        Edit::NewlinesRemoved,
        Edit::Trimmed,
        Edit::BomAdded,
        Edit::BomRemoved,
        Edit::Written(Charset::Latin1),
        Edit::Written(Charset::Windows1252),
        Edit::ReadAs(Charset::Latin1),
        Edit::ReadAs(Charset::Windows1252),
        Edit::Replaced,
        Edit::Ascii,
        Edit::Utf16,
        Edit::Base64,
        Edit::Base64Decoded,
        Edit::JsonString,
        Edit::JsonStringOpened,
        Edit::ObjectObject,
        Edit::PythonDict,
        Edit::PythonBytes,
    ]);
    edits.extend(PLACEHOLDERS.map(Edit::Placeholder));
    edits.extend((0..query::ENCODERS.len()).map(Edit::Form));
    edits
}

impl Edit {
    const fn place(self) -> u8 {
        match self {
            Self::Json(_)
            | Self::JsonString
            | Self::JsonStringOpened
            | Self::ObjectObject
            | Self::PythonDict
            | Self::Form(_) => 0,
            Self::CrlfToLf | Self::LfToCrlf => 1,
            Self::Added(_) | Self::NewlineRemoved | Self::NewlinesRemoved | Self::Trimmed => 2,
            Self::BomAdded | Self::BomRemoved => 3,
            Self::Written(_) | Self::ReadAs(_) | Self::Replaced | Self::Ascii | Self::Utf16 => 4,
            Self::Base64 | Self::Base64Decoded => 5,
            Self::LeftOut | Self::Placeholder(_) | Self::PythonBytes => 6,
        }
    }

    /// What it stands for, given what it made.
    fn mistakes(self, made: &[u8]) -> Vec<Mistake> {
        vec![match self {
            Self::Json(at) => {
                return STYLES.get(at).map(|(mistakes, _)| mistakes.to_vec()).unwrap_or_default();
            }
            Self::JsonString => Mistake::BodyJsonString,
            Self::JsonStringOpened => Mistake::BodyJsonStringOpened,
            Self::ObjectObject => Mistake::BodyObjectObject,
            Self::PythonDict => Mistake::BodyPythonDict,
            Self::PythonBytes => Mistake::BodyPythonBytes,
            Self::LeftOut => Mistake::BodyLeftOut,
            Self::Placeholder(_) => Mistake::BodyPlaceholder,
            Self::CrlfToLf => Mistake::BodyCrlfToLf,
            Self::LfToCrlf => Mistake::BodyLfToCrlf,
            Self::Added(_) => Mistake::BodyNewlineAdded,
            Self::NewlineRemoved | Self::NewlinesRemoved => Mistake::BodyNewlineRemoved,
            Self::Trimmed => Mistake::BodyTrimmed,
            Self::BomAdded => Mistake::BodyBomAdded,
            Self::BomRemoved => Mistake::BodyBomRemoved,
            // Text that is UTF-8 still, after its characters became bytes, was UTF-8 twice.
            Self::Written(_) if core::str::from_utf8(made).is_ok() => Mistake::BodyDoubleEncodingUndone,
            Self::Written(Charset::Latin1) => Mistake::BodyLatin1,
            Self::Written(Charset::Windows1252) => Mistake::BodyWindows1252,
            Self::ReadAs(_) => Mistake::BodyDoubleEncoded,
            Self::Replaced => Mistake::BodyReplaced,
            Self::Ascii => Mistake::BodyAscii,
            Self::Utf16 => Mistake::BodyUtf16,
            Self::Base64 => Mistake::BodyBase64,
            Self::Base64Decoded => Mistake::BodyBase64Decoded,
            Self::Form(_) => Mistake::BodyFormReencoded,
        }]
    }

    /// The changed body; `None` where the change doesn't apply to such a body.
    fn apply(self, source: &Source<'_>) -> Option<Vec<u8>> {
        let Source { bytes, text, ref json } = *source;
        let is_ascii = bytes.is_ascii();
        let not_empty = !bytes.is_empty();
        match self {
            Self::Json(at) => Some(json_text::write(json.as_ref()?, &STYLES.get(at)?.1).into_bytes()),
            Self::JsonString | Self::JsonStringOpened => json_string(self, text?, json.as_ref()),
            Self::ObjectObject => matches!(json, Some(Node::Map(_))).then(|| b"[object Object]".to_vec()),
            Self::PythonDict => match json {
                Some(node @ (Node::Map(_) | Node::List(_))) => Some(python::value(node).into_bytes()),
                _ => None,
            },
            Self::PythonBytes => not_empty.then(|| python::bytes(bytes).into_bytes()),
            Self::LeftOut => Some(Vec::new()),
            Self::Placeholder(text) => bytes.is_empty().then(|| text.as_bytes().to_vec()),
            Self::CrlfToLf => Some(replaced(bytes, b"\r\n", b"\n")),
            Self::LfToCrlf => Some(replaced(&replaced(bytes, b"\r\n", b"\n"), b"\n", b"\r\n")),
            Self::Added(end) => Some([bytes, end.as_bytes()].concat()),
            Self::NewlineRemoved => {
                let cut = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n"));
                cut.map(<[u8]>::to_vec)
            }
            Self::NewlinesRemoved => {
                let kept =
                    bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
                (kept > 0).then(|| bytes[..kept].to_vec())
            }
            Self::Trimmed => Some(bytes.trim_ascii().to_vec()).filter(|trimmed| !trimmed.is_empty()),
            Self::BomAdded => not_empty.then(|| [BOM, bytes].concat()),
            Self::BomRemoved => bytes.strip_prefix(BOM).map(<[u8]>::to_vec),
            Self::Written(charset) => text.filter(|_| !is_ascii).and_then(|text| charset.write(text)),
            Self::ReadAs(charset) => (!is_ascii).then(|| charset.read(bytes).into_bytes()),
            Self::Replaced => {
                text.is_none().then(|| String::from_utf8_lossy(bytes).into_owned().into_bytes())
            }
            Self::Ascii => text.filter(|_| !is_ascii).map(charset::ascii),
            Self::Utf16 => text.map(charset::utf16),
            Self::Base64 => not_empty.then(|| STANDARD.encode(bytes).into_bytes()),
            Self::Base64Decoded => STANDARD.decode(bytes).ok().filter(|decoded| !decoded.is_empty()),
            Self::Form(encoder) => {
                query::reencoded(form(text?)?).into_iter().nth(encoder).map(String::into_bytes)
            }
        }
    }
}

/// What stands for "any result" where only the name of a change is asked for.
const NOT_UTF8: &[u8] = b"\xff";

const BOM: &[u8] = "\u{feff}".as_bytes();

fn json_string(edit: Edit, text: &str, json: Option<&Node<'_>>) -> Option<Vec<u8>> {
    if edit == Edit::JsonStringOpened {
        return match json? {
            Node::Text(inner) => Some(inner.as_bytes().to_vec()),
            _ => None,
        };
    }
    let mut out = String::new();
    json_text::write_string(text, Escapes::NONE, &mut out);
    (!text.is_empty()).then(|| out.into_bytes())
}

/// A text that may be a form: names and values, with nothing in it that a form escapes.
fn form(text: &str) -> Option<&str> {
    let plain = |byte: u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'{' | b'"' | b'<');
    (text.contains('=') && text.bytes().all(plain)).then_some(text)
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mistakes(given: &[u8], signed: &[u8]) -> Option<Vec<Mistake>> {
        let axis = axis(given);
        axis.variants()
            .iter()
            .find(|variant| *variant.value == *signed)
            .map(|variant| variant.mistakes.clone())
    }

    #[test]
    fn each_change_is_there() {
        use Mistake as M;
        let cases: &[(&[u8], &[u8], M)] = &[
            (b"{\"a\": 1}", b"{\"a\":1}", M::BodyJsonCompact),
            (b"{\"a\":1.0}", b"{\"a\":1}", M::BodyJsonJavascript),
            (b"{\"a\":1}", b"{\"a\": 1}", M::BodyJsonPython),
            (b"{\"b\":1,\"a\":2}", b"{\"a\":2,\"b\":1}", M::BodyJsonSorted),
            (b"{\"a\":1}", b"\"{\\\"a\\\":1}\"", M::BodyJsonString),
            (b"\"{\\\"a\\\":1}\"", b"{\"a\":1}", M::BodyJsonStringOpened),
            (b"{\"a\":1}", b"[object Object]", M::BodyObjectObject),
            (b"{\"a\":1}", b"{'a': 1}", M::BodyPythonDict),
            (b"{\"a\":1}", b"b'{\"a\":1}'", M::BodyPythonBytes),
            (b"{\"a\":1}", b"", M::BodyLeftOut),
            (b"", b"{}", M::BodyPlaceholder),
            (b"", b"undefined", M::BodyPlaceholder),
            (b"a\r\nb\r\n", b"a\nb\n", M::BodyCrlfToLf),
            (b"a\nb\r\nc", b"a\r\nb\r\nc", M::BodyLfToCrlf),
            (b"a", b"a\n", M::BodyNewlineAdded),
            (b"a", b"a\r\n", M::BodyNewlineAdded),
            (b"", b"\n", M::BodyNewlineAdded),
            (b"a\r\n", b"a", M::BodyNewlineRemoved),
            (b"a\n\n", b"a\n", M::BodyNewlineRemoved),
            (b"a\n\n", b"a", M::BodyNewlineRemoved),
            (b" a \n", b"a", M::BodyTrimmed),
            (b"a", b"\xef\xbb\xbfa", M::BodyBomAdded),
            (b"\xef\xbb\xbfa", b"a", M::BodyBomRemoved),
            ("Jørgen".as_bytes(), b"J\xf8rgen", M::BodyLatin1),
            ("€".as_bytes(), b"\x80", M::BodyWindows1252),
            (b"J\xf8rgen", "Jørgen".as_bytes(), M::BodyDoubleEncoded),
            ("ø".as_bytes(), "Ã¸".as_bytes(), M::BodyDoubleEncoded),
            ("”".as_bytes(), "â€\u{9d}".as_bytes(), M::BodyDoubleEncoded),
            ("Ã¸".as_bytes(), "ø".as_bytes(), M::BodyDoubleEncodingUndone),
            (b"J\xf8rgen", "J\u{fffd}rgen".as_bytes(), M::BodyReplaced),
            ("Jørgen".as_bytes(), b"J?rgen", M::BodyAscii),
            (b"ab", b"a\0b\0", M::BodyUtf16),
            (b"ab", b"YWI=", M::BodyBase64),
            (b"YWI=", b"ab", M::BodyBase64Decoded),
            (b"a=b%20c", b"a=b+c", M::BodyFormReencoded),
        ];
        for (given, signed, expected) in cases {
            let found = mistakes(given, signed);
            assert_eq!(found, Some(vec![*expected]), "{}", String::from_utf8_lossy(given));
        }
    }

    #[test]
    fn changes_go_together() {
        use Mistake as M;
        let cases: [(&str, &str, [M; 2]); 7] = [
            ("{\"a\":1}\n", "{\"a\": 1}", [M::BodyJsonPython, M::BodyNewlineRemoved]),
            ("{\"a\":1}", "{\"a\": 1}\n", [M::BodyJsonPython, M::BodyNewlineAdded]),
            ("{\"b\":1,\"a\":2}", "{\"a\": 2, \"b\": 1}", [M::BodyJsonSorted, M::BodyJsonPython]),
            ("\u{feff}{\"a\": 1}", "{\"a\":1}", [M::BodyBomRemoved, M::BodyJsonCompact]),
            ("a\r\nb", "a\nb\n", [M::BodyCrlfToLf, M::BodyNewlineAdded]),
            ("{\"a\": \"Ã¸\"}", "{\"a\":\"ø\"}", [M::BodyJsonCompact, M::BodyDoubleEncodingUndone]),
            ("eyJhIjogMX0=", "{\"a\":1}", [M::BodyBase64Decoded, M::BodyJsonCompact]),
        ];
        for (given, signed, expected) in cases {
            let mut found = mistakes(given.as_bytes(), signed.as_bytes()).unwrap_or_default();
            let mut expected = expected.to_vec();
            // A re-written body has no newline any more, so one name may be enough.
            found.sort();
            expected.sort();
            let by_one = found.len() == 1 && expected.contains(&found[0]);
            assert!(found == expected || by_one, "{given:?}: {found:?}");
        }
    }

    #[test]
    fn a_large_body_has_no_pairs() {
        let body = format!("[{}1]\n", "\"ø\",".repeat(100_000)).into_bytes();
        let axis = axis(&body);
        let pairs = axis.variants().iter().filter(|variant| variant.mistakes.len() == 2).count();
        // Those that are one style of writing, and what fits into the bound.
        assert!(pairs <= 6 + MAX_PAIR_BYTES / body.len(), "{pairs}");
    }

    proptest! {
        #[test]
        fn the_given_body_comes_first(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let axis = axis(&body);
            prop_assert_eq!(&*axis.variants()[0].value, &body[..]);
            prop_assert!(axis.variants()[0].mistakes.is_empty());
            prop_assert!(axis.variants()[1..].iter().all(|variant| !variant.mistakes.is_empty()));
        }
    }
}
