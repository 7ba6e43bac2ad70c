//! The keys that may have been used instead of the secret that was given.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};

use super::axis::{Axis, Variant};
use super::mistake::Mistake;
use crate::signature::standard_webhooks::{MIN_KEY_BYTES, PREFIX};

/// Most secrets of a kind that are tried; a rotation has two.
pub(super) const MAX_SECRETS: usize = 8;

/// What a missing value prints as: JavaScript, JSON, Python, Ruby and Go, .NET's and PHP's being empty.
const UNDEFINED: [&str; 5] = ["undefined", "null", "None", "nil", "<nil>"];

/// Takes what decoders in the wild take: no padding, and bits left over.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const LOOSE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const LOOSE_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// How a scheme makes a key of a secret's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// The text is the key.
    Text,
    /// What follows `whsec_` is the key in base64.
    Whsec,
}

/// A key. It has no `Debug`, so that it can't get into a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) bytes: Vec<u8>,
    /// The secret it was made of, by its index, the previous ones counted on; none for one that stands for a missing secret.
    pub(super) secret: Option<usize>,
}

/// All keys to try.
pub(super) fn axis(secrets: &[&str], previous: &[&str], form: KeyForm) -> Axis<Key> {
    let mut axis = Axis::new();
    let all = || secrets.iter().take(MAX_SECRETS).chain(previous.iter().take(MAX_SECRETS));
    for (at, secret) in all().enumerate() {
        // The same text again would only be a worse explanation.
        if all().take(at).any(|earlier| earlier == secret) {
            continue;
        }
        let other: &[Mistake] = if at >= secrets.len().min(MAX_SECRETS) {
            &[Mistake::SecretPrevious]
        } else if at > 0 {
            &[Mistake::SecretOther]
        } else {
            &[]
        };
        let texts = spellings(secret);
        for (text, spelled) in core::iter::once((Some((*secret).to_owned()), None))
            .chain(texts.into_iter().map(|(mistake, text)| (text, Some(mistake))))
        {
            let Some(text) = text.filter(|text| spelled.is_none() || text != secret) else { continue };
            for (decoded, bytes) in keys_of(&text, form) {
                let mistakes: Vec<Mistake> = other.iter().copied().chain(spelled).chain(decoded).collect();
                if mistakes.len() <= 2 {
                    let value = Key { bytes, secret: Some(at) };
                    axis.add_variant(Variant { value, mistakes, also: Vec::new() });
                }
            }
        }
    }
    axis.add(Key { bytes: Vec::new(), secret: None }, &[Mistake::SecretEmpty]);
    for word in UNDEFINED {
        axis.add(Key { bytes: word.into(), secret: None }, &[Mistake::SecretUndefined]);
    }
    axis
}

/// What the text may have been elsewhere; `None` where a change doesn't apply.
fn spellings(secret: &str) -> Vec<(Mistake, Option<String>)> {
    let trimmed = secret.trim();
    let unquoted = ['"', '\'', '`']
        .iter()
        .find_map(|&quote| trimmed.strip_prefix(quote)?.strip_suffix(quote).map(str::to_owned));
    let assigned =
        trimmed.split_once(['=', ':']).filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let visible = |character: &char| {
        !character.is_whitespace()
            && !character.is_control()
            && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
    };
    let some = |text: String| Some(text);
    vec![
        (Mistake::SecretTrimmed, some(trimmed.to_owned())),
        (Mistake::SecretNewlineAdded, some(format!("{secret}\n"))),
        (Mistake::SecretNewlineAdded, some(format!("{secret}\r\n"))),
        (Mistake::SecretSpaceAdded, some(format!("{secret} "))),
        (Mistake::SecretSpaceAdded, some(format!(" {secret}"))),
        (Mistake::SecretUnquoted, unquoted),
        (Mistake::SecretQuoted, some(format!("\"{secret}\""))),
        (Mistake::SecretQuoted, some(format!("'{secret}'"))),
        (
            Mistake::SecretAssignment,
            assigned.map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned()),
        ),
        (Mistake::SecretInvisible, some(secret.chars().filter(visible).collect())),
        (Mistake::SecretCase, some(secret.to_lowercase())),
        (Mistake::SecretCase, some(secret.to_uppercase())),
    ]
}

/// What key a text becomes, rightly (no mistake) and wrongly.
fn keys_of(text: &str, form: KeyForm) -> Vec<(Option<Mistake>, Vec<u8>)> {
    let bare = text.strip_prefix(PREFIX);
    let with_prefix = || format!("{PREFIX}{text}").into_bytes();
    let mut keys = Vec::new();
    match form {
        KeyForm::Text => {
            keys.push((None, text.as_bytes().to_vec()));
            keys.extend(decodings(bare.unwrap_or(text)).map(|key| (Some(Mistake::SecretDecoded), key)));
            match bare {
                Some(bare) => keys.push((Some(Mistake::SecretPrefixCut), bare.into())),
                None => keys.push((Some(Mistake::SecretPrefixAdded), with_prefix())),
            }
            for encoded in [STANDARD.encode(text), hex::encode(text)] {
                keys.push((Some(Mistake::SecretEncoded), encoded.into_bytes()));
            }
        }
        KeyForm::Whsec => {
            if let Ok(key) = LOOSE.decode(bare.unwrap_or(text)) {
                keys.push(((key.len() < MIN_KEY_BYTES).then_some(Mistake::SecretShort), key));
            }
            keys.push((Some(Mistake::SecretNotDecoded), bare.unwrap_or(text).into()));
            let kept = if bare.is_some() { text.as_bytes().to_vec() } else { with_prefix() };
            keys.push((Some(Mistake::SecretPrefixKept), kept));
            // Node's decoder takes `_` for `/`, Python's and PHP's skip it.
            let whole = format!("{PREFIX}{}", bare.unwrap_or(text));
            let url_safe = whole.replace('+', "-").replace('/', "_");
            let skipped = whole.replace('_', "");
            let decoded = [
                LOOSE_URL_SAFE.decode(url_safe.trim_end_matches('=')),
                LOOSE.decode(skipped.trim_end_matches('=')),
            ];
            for key in decoded {
                keys.extend(key.ok().map(|key| (Some(Mistake::SecretPrefixDecoded), key)));
            }
            keys.extend(
                hex::decode(bare.unwrap_or(text)).ok().map(|key| (Some(Mistake::SecretDecoded), key)),
            );
            keys.extend(
                URL_SAFE_NO_PAD
                    .decode(bare.unwrap_or(text).trim_end_matches('='))
                    .ok()
                    .map(|key| (Some(Mistake::SecretDecoded), key)),
            );
        }
    }
    keys
}

fn decodings(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let base64 = LOOSE.decode(text).or_else(|_| LOOSE_URL_SAFE.decode(text));
    [base64.ok(), hex::decode(text).ok()].into_iter().flatten().filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Mistake as M;

    const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn mistakes(secrets: &[&str], form: KeyForm, key: &[u8]) -> Option<(Vec<Mistake>, Option<usize>)> {
        let axis = axis(secrets, &[], form);
        let found = axis.variants().iter().find(|variant| variant.value.bytes == key)?;
        Some((found.mistakes.clone(), found.value.secret))
    }

    #[test]
    fn texts() {
        let cases: [(&str, &[u8], &[M]); 22] = [
            ("abc", b"abc", &[]),
            (" abc\n", b"abc", &[M::SecretTrimmed]),
            ("abc", b"abc\n", &[M::SecretNewlineAdded]),
            ("abc", b"abc\r\n", &[M::SecretNewlineAdded]),
            ("abc", b"abc ", &[M::SecretSpaceAdded]),
            ("\"abc\"", b"abc", &[M::SecretUnquoted]),
            ("'abc'\n", b"abc", &[M::SecretUnquoted]),
            ("abc", b"\"abc\"", &[M::SecretQuoted]),
            ("SECRET=abc", b"abc", &[M::SecretAssignment]),
            ("SECRET: 'abc'", b"abc", &[M::SecretAssignment]),
            ("a\u{200b}b c", b"abc", &[M::SecretInvisible]),
            ("\u{feff}abc", b"abc", &[M::SecretInvisible]),
            ("Abc", b"abc", &[M::SecretCase]),
            ("Abc", b"ABC", &[M::SecretCase]),
            ("YWJj", b"abc", &[M::SecretDecoded]),
            ("00ff10", b"\x00\xff\x10", &[M::SecretDecoded]),
            ("whsec_YWJj", b"abc", &[M::SecretDecoded]),
            ("whsec_YWJj", b"YWJj", &[M::SecretPrefixCut]),
            ("YWJj", b"whsec_YWJj", &[M::SecretPrefixAdded]),
            ("abc", b"YWJj", &[M::SecretEncoded]),
            ("\"YWJj\"", b"abc", &[M::SecretUnquoted, M::SecretDecoded]),
            ("abc", b"", &[M::SecretEmpty]),
        ];
        for (secret, key, expected) in cases {
            let found = mistakes(&[secret], KeyForm::Text, key).map(|(mistakes, _)| mistakes);
            assert_eq!(found.as_deref(), Some(expected), "{secret:?}");
        }
        assert_eq!(mistakes(&["abc"], KeyForm::Text, b"undefined"), Some((vec![M::SecretUndefined], None)));
    }

    #[test]
    fn whsec_keys() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        // `Buffer.from(secret, 'base64')` and `base64.b64decode(secret)`, written down from there.
        let by_node = hex::decode("c21b1e73f31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b").unwrap();
        let by_python = hex::decode("c21b1e70c7ca43dafc18a62aad3c2350f0fc20b3d9228d8b68b692c1a6dc").unwrap();
        let cases: [(&str, &[u8], &[M]); 10] = [
            (WHSEC, &key, &[]),
            (WHSEC, &by_node, &[M::SecretPrefixDecoded]),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwabc=", &by_python, &[M::SecretPrefixDecoded]),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &key, &[]),
            (WHSEC, b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[M::SecretNotDecoded]),
            (WHSEC, WHSEC.as_bytes(), &[M::SecretPrefixKept]),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", WHSEC.as_bytes(), &[M::SecretPrefixKept]),
            ("whsec_YWJj", b"abc", &[M::SecretShort]),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", &key, &[M::SecretTrimmed]),
            ("not base64!", b"not base64!", &[M::SecretNotDecoded]),
        ];
        for (secret, key, expected) in cases {
            let found = mistakes(&[secret], KeyForm::Whsec, key).map(|(mistakes, _)| mistakes);
            assert_eq!(found.as_deref(), Some(expected), "{secret:?}");
        }
    }

    #[test]
    fn the_first_secret_is_the_right_one() {
        let found = |key: &[u8]| mistakes(&["new", "old", "new", "older"], KeyForm::Text, key);
        assert_eq!(found(b"new"), Some((vec![], Some(0))));
        assert_eq!(found(b"old"), Some((vec![M::SecretOther], Some(1))));
        assert_eq!(found(b"older"), Some((vec![M::SecretOther], Some(3))));
        assert_eq!(found(b"old\n"), Some((vec![M::SecretOther, M::SecretNewlineAdded], Some(1))));
        assert_eq!(mistakes(&[], KeyForm::Text, b"new"), None);
        let axis = axis(&["new"], &["new", "old"], KeyForm::Text);
        let old = axis.variants().iter().find(|variant| variant.value.bytes == b"old").unwrap();
        assert_eq!((&old.mistakes[..], old.value.secret), (&[M::SecretPrevious][..], Some(2)));
    }
}
