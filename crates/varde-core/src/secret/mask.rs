//! Finding secrets in text that is shown or stored: endpoints echo what they are sent.
//!
//! A value is found as it is, percent-encoded (any character, either case of hex, `+` for a space),
//! escaped as in JSON, and in base64 of either alphabet at any offset, as in `Basic` credentials. Of
//! `Bearer abc` the `abc` alone is found too, and of `whsec_…` and
//! `whsk_…` what follows the prefix.
//!
//! A value shorter than [`MIN_BYTES`] is not looked for: it would hit words that have nothing to do with
//! it, and the hits would spell it out.

use core::fmt;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::Secret;
use crate::signature::standard_webhooks;

/// What stands in place of a secret.
pub const MASK: &str = "***";
/// Shortest value that is looked for.
pub const MIN_BYTES: usize = 4;
/// Shortest value that is looked for in outputs. They are data for later actions, so a hit that isn't the
/// secret would break something; and a shorter one is guessed, not found.
pub const MIN_BYTES_IN_OUTPUTS: usize = 8;

/// Hides a set of values. Its `Debug` shows none of them; its memory is wiped when dropped.
#[derive(Clone)]
pub struct Mask {
    /// Sorted by their first byte.
    patterns: Vec<Pattern>,
    /// For each byte, the index of the first pattern that starts with it or with a higher one.
    starts: [usize; 257],
}

#[derive(Clone, PartialEq, Eq)]
struct Pattern {
    text: Zeroizing<Vec<u8>>,
    /// A base64 character before it holds bits of the value too.
    before: bool,
    /// A base64 character after it holds bits of the value too.
    after: bool,
}

impl Mask {
    /// Prepares to hide `values` in all their spellings.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut patterns = Vec::new();
        for value in values {
            let value = value.expose();
            add_value(&mut patterns, value);
            let parts = [
                value.strip_prefix(standard_webhooks::PREFIX),
                value.strip_prefix(standard_webhooks::SECRET_KEY_PREFIX),
                value.split_once(' ').map(|(_, rest)| rest),
            ];
            for part in parts.into_iter().flatten() {
                add_value(&mut patterns, part);
            }
        }
        patterns.sort_unstable_by(|one: &Pattern, other| one.text.cmp(&other.text));
        patterns.dedup();
        let starts = core::array::from_fn(|byte| {
            patterns.partition_point(|pattern| usize::from(pattern.text[0]) < byte)
        });
        Self { patterns, starts }
    }

    /// Replaces all values in a text by [`MASK`]. A text without any isn't copied.
    #[must_use]
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide(text, false)
    }

    /// Does the same for a text that was cut: what a value starts with, at the very end, is hidden too,
    /// from [`MIN_BYTES`] on.
    #[must_use]
    pub fn apply_to_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide(text, true)
    }

    fn hide<'t>(&self, text: &'t str, cut: bool) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        let base64_at = |at: usize| {
            bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
        };
        let mut hidden = String::new();
        let (mut kept_from, mut at) = (0, 0);
        while at < bytes.len() {
            let Some((pattern, length)) = self.longest_at(&bytes[at..], cut) else {
                at += 1;
                continue;
            };
            let reaches_back = pattern.before && at > kept_from && base64_at(at - 1);
            hidden.push_str(&text[kept_from..at - usize::from(reaches_back)]);
            hidden.push_str(MASK);
            at += length;
            at += usize::from(pattern.after && base64_at(at));
            kept_from = at;
        }
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        hidden.push_str(&text[kept_from..]);
        Cow::Owned(hidden)
    }

    /// The pattern that covers most of the start of `text`, and how much.
    fn longest_at(&self, text: &[u8], cut: bool) -> Option<(&Pattern, usize)> {
        let raw = *text.first()?;
        let escaped = Escape::at(text).map(|escape| escape.bytes[0]).filter(|&byte| byte != raw);
        core::iter::once(raw)
            .chain(escaped)
            .flat_map(|byte| {
                &self.patterns[self.starts[usize::from(byte)]..self.starts[usize::from(byte) + 1]]
            })
            .filter_map(|pattern| Some((pattern, pattern.length_at(text, cut)?)))
            .max_by_key(|&(_, length)| length)
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(…)")
    }
}

impl Pattern {
    /// How many bytes of `text` it covers from the start, if it is there.
    fn length_at(&self, text: &[u8], cut: bool) -> Option<usize> {
        // Two goes, because a value may itself look like an escape: `%25` is found raw, not escaped.
        if text.starts_with(&self.text) { Some(self.text.len()) } else { self.escaped_length_at(text, cut) }
    }

    fn escaped_length_at(&self, text: &[u8], cut: bool) -> Option<usize> {
        let (mut at, mut done) = (0, 0);
        while done < self.text.len() {
            let (wanted, rest) = (&self.text[done..], &text[at..]);
            match Escape::at(rest) {
                Some(escape) if wanted.starts_with(escape.bytes()) => {
                    at += escape.source_length;
                    done += escape.bytes().len();
                }
                _ => match rest.first() {
                    Some(&byte) if byte == wanted[0] || (byte == b'+' && wanted[0] == b' ') => {
                        at += 1;
                        done += 1;
                    }
                    _ if cut && done >= MIN_BYTES && may_be_cut_escape(rest) => return Some(text.len()),
                    _ => return None,
                },
            }
        }
        Some(at)
    }
}

/// Adds the value itself and its base64 at each of the three offsets in a group of three bytes.
fn add_value(patterns: &mut Vec<Pattern>, value: &str) {
    if value.len() < MIN_BYTES {
        return;
    }
    let raw = Zeroizing::new(value.as_bytes().to_vec());
    patterns.push(Pattern { text: raw, before: false, after: false });
    // Of the six bits of a character, those of the unknown bytes before the value come first.
    for (offset, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let mut bytes = Zeroizing::new(vec![0; offset]);
        bytes.extend_from_slice(value.as_bytes());
        let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&bytes));
        let whole = bytes.len() * 8 / 6;
        let text = Zeroizing::new(encoded.as_bytes()[skipped..whole].to_vec());
        let (before, after) = (offset > 0, !(bytes.len() * 8).is_multiple_of(6));
        let url_safe = text.iter().map(|&byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        });
        patterns.push(Pattern { text: Zeroizing::new(url_safe.collect()), before, after });
        patterns.push(Pattern { text, before, after });
    }
}

/// A character or byte that is written as `%41`, `\"`, `\/`, `\\` or `\u0041`.
struct Escape {
    bytes: [u8; 4],
    length: usize,
    source_length: usize,
}

impl Escape {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn at(text: &[u8]) -> Option<Self> {
        match text {
            [b'%', high, low, ..] => {
                let mut byte = [0];
                hex::decode_to_slice([*high, *low], &mut byte).ok()?;
                Some(Self { bytes: [byte[0], 0, 0, 0], length: 1, source_length: 3 })
            }
            [b'\\', character @ (b'"' | b'/' | b'\\'), ..] => {
                Some(Self { bytes: [*character, 0, 0, 0], length: 1, source_length: 2 })
            }
            [b'\\', b'u', ..] => Self::unicode(text),
            _ => None,
        }
    }

    fn unicode(text: &[u8]) -> Option<Self> {
        let first = utf16_unit(text)?;
        let second = text.get(6..).and_then(utf16_unit);
        let decoded = char::decode_utf16(core::iter::once(first).chain(second)).next()?.ok()?;
        let mut bytes = [0; 4];
        let length = decoded.encode_utf8(&mut bytes).len();
        Some(Self { bytes, length, source_length: 6 * decoded.len_utf16() })
    }
}

/// Reads `\u0041`.
fn utf16_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let mut bytes = [0; 2];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// Whether nothing is left, or the start of an escape that the cut took the rest of.
fn may_be_cut_escape(rest: &[u8]) -> bool {
    match rest {
        [] | [b'%' | b'\\'] | [b'%', _] => true,
        [b'\\', b'u', digits @ ..] => digits.len() < 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn secret(value: &str) -> Secret {
        Secret::new(value).unwrap()
    }

    fn mask(values: &[&str]) -> Mask {
        let secrets: Vec<Secret> = values.iter().map(|value| secret(value)).collect();
        Mask::new(&secrets)
    }

    #[test]
    fn hides_all_spellings() {
        let cases = [
            ("s3cr3t/key+1", "a s3cr3t/key+1 b", "a *** b"),
            ("s3cr3t/key+1", "https://a.example/?k=s3cr3t%2Fkey%2B1&x=y", "https://a.example/?k=***&x=y"),
            ("s3cr3t/key+1", "s3cr3t%2fkey%2b1", "***"),
            ("s3cr3t/key+1", "%73%33%63%72%33%74%2F%6B%65%79%2B%31", "***"),
            ("s3cr3t/key+1", r#"{"k":"s3cr3t\/key+1"}"#, r#"{"k":"***"}"#),
            ("s3cr3t/key+1", r"s3cr3t\u002fkey\u002B1", "***"),
            ("two words", "two%20words two+words", "*** ***"),
            (r#"qu"ote\d"#, r#"{"k":"qu\"ote\\d"}"#, r#"{"k":"***"}"#),
            ("blåbær", r"bl\u00e5b\u00e6r bl%C3%A5b%c3%a6r blåbær", "*** *** ***"),
            ("key😀key", r"key\ud83d\ude00key", "***"),
            ("100%25off", "100%25off 100%2525off", "*** ***"),
            ("%25%25", "%25%25", "***"),
            ("abcd", "abcdabcd", "******"),
            ("Bearer s3cr3t", "authorization: Bearer s3cr3t; token s3cr3t", "authorization: ***; token ***"),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "*** ***",
            ),
            ("abc", "abc", "abc"),
            ("abcd", "abc bcd ABCD ab%cd abcø", "abc bcd ABCD ab%cd abcø"),
            ("abcd", "", ""),
        ];
        for (value, text, expected) in cases {
            assert_eq!(mask(&[value]).apply(text), expected, "{value} in {text}");
        }
    }

    #[test]
    fn hides_basic_credentials() {
        for username in ["", "a", "ab", "abc", "user@example.com"] {
            for password in ["pass", "passw", "passwo", "s3cr3t/key+1", "ÿþ~~~???>>>"] {
                let credentials = format!("{username}:{password}");
                for encoded in [STANDARD.encode(&credentials), URL_SAFE.encode(&credentials)] {
                    let hidden = mask(&[password]).apply(&format!("Basic {encoded}.")).into_owned();
                    // What is left decodes to the user name and colon, less the character that shared bits.
                    let left = hidden.trim_start_matches("Basic ").replace("***", "").replace(['=', '.'], "");
                    assert!(left.len() <= (username.len() + 1) * 8 / 6, "{credentials}: {hidden}");
                    assert!(encoded.starts_with(&left), "{credentials}: {hidden}");
                }
            }
        }
    }

    #[test]
    fn prefers_the_longest() {
        assert_eq!(mask(&["abcd", "abcdefgh"]).apply("abcdefgh abcdef"), "*** ***ef");
        assert_eq!(mask(&["abcdefgh", "abcd"]).apply("abcdefgh abcdef"), "*** ***ef");
    }

    #[test]
    fn a_text_without_secrets_is_not_copied() {
        assert!(matches!(mask(&["abcd"]).apply("nothing here"), Cow::Borrowed("nothing here")));
        assert!(matches!(mask(&[]).apply("abcd"), Cow::Borrowed("abcd")));
    }

    #[test]
    fn a_cut_secret_is_hidden_at_the_end_only() {
        let mask = mask(&["s3cr3t/key"]);
        let cases = [
            ("x s3cr", "x ***"),
            ("x s3cr3t%2", "x ***"),
            ("x s3cr3t%", "x ***"),
            ("x s3cr3t\\", "x ***"),
            ("x s3cr3t\\u00", "x ***"),
            ("x s3c", "x s3c"),
            ("x s3cr y", "x s3cr y"),
            ("x s3cr%", "x ***"),
            ("x s3cr3t%20", "x s3cr3t%20"),
        ];
        for (text, expected) in cases {
            assert_eq!(mask.apply_to_cut(text), expected, "{text}");
            assert_eq!(mask.apply(text), text, "{text}");
        }
        assert_eq!(mask.apply_to_cut(&STANDARD.encode("user:s3cr3t/key")[..14]), "dXNlcj***");
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", mask(&["abcd"])), "Mask(…)");
    }

    #[test]
    fn many_values_in_a_long_text() {
        let values: Vec<Secret> = (0..200).map(|at| secret(&format!("value-number-{at:03}"))).collect();
        let text = "value-number-199 % \\ value-number- ".repeat(500);
        assert_eq!(Mask::new(&values).apply(&text), "*** % \\ value-number- ".repeat(500));
    }

    proptest! {
        #[test]
        fn no_spelling_survives(
            value in "[!-~ø]{4,24}",
            before in "[a-zA-Z0-9:ø ]{0,8}",
            after in "[a-zA-Z0-9: ]{0,8}",
        ) {
            let mask = mask(&[&value]);
            let joined = format!("{before}{value}{after}");
            let percent = utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string();
            let json = serde_json::to_string(&value).unwrap();
            let inner = &json[1..json.len() - 1];
            for spelling in [value.as_str(), &percent, &percent.to_lowercase(), inner] {
                // Lower-casing everything is a spelling only where the value has no upper case.
                if spelling == percent.to_lowercase() && value.to_lowercase() != value {
                    continue;
                }
                let hidden = mask.apply(&format!("{before} {spelling} {after}")).into_owned();
                prop_assert!(!hidden.contains(spelling), "{} in {}", spelling, hidden);
            }
            for encoded in [STANDARD.encode(&joined), URL_SAFE_NO_PAD.encode(&joined)] {
                let hidden = mask.apply(&encoded);
                let longest = hidden.split(MASK).map(str::len).max().unwrap_or_default();
                prop_assert!(hidden.contains(MASK));
                prop_assert!(longest <= before.len().max(after.len()) * 8 / 6 + 4, "{}", hidden);
            }
        }

        #[test]
        fn no_text_panics(value in "[%\\\\u0-9a-f+ø😀]{4,8}", text in "[%\\\\u0-9a-f+ø😀\"/]{0,60}") {
            if let Ok(value) = Secret::new(value) {
                let mask = Mask::new([&value]);
                let hidden = mask.apply(&text);
                prop_assert!(!hidden.contains(value.expose()));
                let _ = mask.apply_to_cut(&text);
            }
        }
    }
}
