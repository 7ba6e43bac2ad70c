//! How a signature is written: the digests that a text can mean, and what is odd about the text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::mistake::Mistake;
use crate::signature::Digest;

/// Most signatures of one header that are looked at, as in Standard Webhooks' check.
const MAX_SIGNATURES: usize = 20;

const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a scheme writes its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// `v1,` or `sha256=` or nothing.
    pub(super) prefix: &'static str,
    pub(super) letters: Letters,
}

/// What the digest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Hex,
    Base64,
}

/// A digest, and what was seen of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) digest: Digest,
    prefix: String,
    spelling: Spelling,
    unpadded: bool,
    /// What was undone to read it, whatever the scheme.
    undone: Vec<Mistake>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Hex,
    UpperHex,
    Base64,
    Base64Url,
    HexInBase64,
}

impl Written {
    /// What a scheme with this form would find wrong with the text.
    pub(super) fn mistakes(&self, form: Form) -> Vec<Mistake> {
        let mut mistakes = self.undone.clone();
        if self.prefix != form.prefix {
            mistakes.push(if self.prefix.is_empty() {
                Mistake::SignaturePrefixMissing
            } else {
                Mistake::SignaturePrefixAdded
            });
        }
        match (form.letters, self.spelling) {
            (Letters::Hex, Spelling::Hex) | (Letters::Base64, Spelling::Base64) => {}
            (Letters::Base64, Spelling::Base64Url) => mistakes.push(Mistake::SignatureBase64Url),
            (Letters::Hex, Spelling::UpperHex) => mistakes.push(Mistake::SignatureUpperHex),
            (Letters::Base64, Spelling::Hex | Spelling::UpperHex) => mistakes.push(Mistake::SignatureHex),
            (Letters::Hex, Spelling::Base64 | Spelling::Base64Url) => mistakes.push(Mistake::SignatureBase64),
            (_, Spelling::HexInBase64) => mistakes.push(Mistake::SignatureHexInBase64),
        }
        if self.unpadded && form.letters == Letters::Base64 {
            mistakes.push(Mistake::SignatureUnpadded);
        }
        mistakes
    }
}

/// All digests that the text can mean.
pub(super) fn read(text: &str) -> Vec<Written> {
    let bare = text
        .trim_matches(|character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`'));
    let mut undone = Vec::new();
    if bare != text {
        undone.push(Mistake::SignatureWrapped);
    }
    let mut found: Vec<Written> = bare
        .split_whitespace()
        .take(MAX_SIGNATURES)
        .filter_map(|word| read_one(word.trim_end_matches(';'), undone.clone()))
        .collect();
    if found.is_empty() && bare.contains('%') {
        let decoded = percent_decode_str(bare).decode_utf8_lossy();
        undone.push(Mistake::SignaturePercentEncoded);
        found.extend(read_one(&decoded, undone));
    } else if found.is_empty() && text.contains(' ') {
        // The first letter may be one of those that are lost.
        let whole = read_one(&text.replace(' ', "+"), vec![Mistake::SignaturePlusLost]);
        undone.push(Mistake::SignaturePlusLost);
        found.extend(whole.or_else(|| read_one(&bare.replace(' ', "+"), undone)));
    }
    found
}

/// How many bytes the text decodes to, for telling SHA-1 and SHA-512 from SHA-256.
pub(super) fn decoded_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let (_, text) = split_prefix(text);
    hex::decode(text)
        .or_else(|_| LOOSE.decode(text.replace('-', "+").replace('_', "/")))
        .ok()
        .map(|bytes| bytes.len())
}

fn read_one(text: &str, undone: Vec<Mistake>) -> Option<Written> {
    let (prefix, letters) = split_prefix(text);
    let (digest, spelling, unpadded) = digest_in(letters)?;
    Some(Written { digest, prefix: prefix.to_ascii_lowercase(), spelling, unpadded, undone })
}

/// Cuts off what is a word and one of `,`, `=`, `:` in front of a digest.
fn split_prefix(text: &str) -> (&str, &str) {
    let word = text
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '-' && character != '_')
        .filter(|&end| (1..=16).contains(&end));
    match word.and_then(|end| text.get(end..end + 1).map(|mark| (end, mark))) {
        Some((end, "," | "=" | ":")) if text.len() > end + 1 + 32 => text.split_at(end + 1),
        _ => ("", text),
    }
}

fn digest_in(text: &str) -> Option<(Digest, Spelling, bool)> {
    let mut digest = Digest::default();
    if hex::decode_to_slice(text, &mut digest).is_ok() {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        return Some((digest, if upper { Spelling::UpperHex } else { Spelling::Hex }, false));
    }
    let url_safe = text.contains(['-', '_']);
    let standard = text.replace('-', "+").replace('_', "/");
    let bytes = LOOSE.decode(&standard).ok()?;
    let unpadded = !text.ends_with('=') && bytes.len() % 3 != 0;
    if let Ok(digest) = Digest::try_from(&bytes[..]) {
        return Some((digest, if url_safe { Spelling::Base64Url } else { Spelling::Base64 }, unpadded));
    }
    hex::decode_to_slice(bytes, &mut digest).ok()?;
    Some((digest, Spelling::HexInBase64, unpadded))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    const HEX: Form = Form { prefix: "", letters: Letters::Hex };
    const BASE64: Form = Form { prefix: "", letters: Letters::Base64 };
    const V1: Form = Form { prefix: "v1,", letters: Letters::Base64 };
    const SHA256: Form = Form { prefix: "sha256=", letters: Letters::Hex };

    /// All letters of base64 occur in it, the last ones too.
    fn digest() -> Digest {
        core::array::from_fn(|at| 251u8.wrapping_sub(at as u8 * 7))
    }

    fn mistakes(text: &str, form: Form) -> Vec<Mistake> {
        let written = read(text);
        assert_eq!(written.len(), 1, "{text}");
        assert_eq!(written[0].digest, digest(), "{text}");
        written[0].mistakes(form)
    }

    #[test]
    fn each_oddity_is_seen() {
        use Mistake as M;
        let hex = hex::encode(digest());
        let base64 = STANDARD.encode(digest());
        assert!(base64.contains('+') && base64.contains('/'), "{base64}");
        let cases: Vec<(String, Form, &[M])> = vec![
            (hex.clone(), HEX, &[]),
            (base64.clone(), BASE64, &[]),
            (format!("v1,{base64}"), V1, &[]),
            (format!("sha256={hex}"), SHA256, &[]),
            (hex.to_uppercase(), HEX, &[M::SignatureUpperHex]),
            (hex.clone(), BASE64, &[M::SignatureHex]),
            (hex.to_uppercase(), BASE64, &[M::SignatureHex]),
            (base64.clone(), HEX, &[M::SignatureBase64]),
            (URL_SAFE.encode(digest()), BASE64, &[M::SignatureBase64Url]),
            (base64.trim_end_matches('=').to_owned(), BASE64, &[M::SignatureUnpadded]),
            (
                URL_SAFE.encode(digest()).trim_end_matches('=').to_owned(),
                BASE64,
                &[M::SignatureBase64Url, M::SignatureUnpadded],
            ),
            (STANDARD.encode(&hex), BASE64, &[M::SignatureHexInBase64]),
            (STANDARD.encode(hex.to_uppercase()), HEX, &[M::SignatureHexInBase64]),
            (base64.clone(), V1, &[M::SignaturePrefixMissing]),
            (hex.clone(), SHA256, &[M::SignaturePrefixMissing]),
            (format!("sha256={hex}"), HEX, &[M::SignaturePrefixAdded]),
            (format!("v1,{base64}"), BASE64, &[M::SignaturePrefixAdded]),
            (format!("v1={base64}"), V1, &[M::SignaturePrefixAdded]),
            (format!("SHA256={hex}"), SHA256, &[]),
            (format!("v1,{hex}"), V1, &[M::SignatureHex]),
            (format!(" {hex}\r\n"), HEX, &[M::SignatureWrapped]),
            (format!("\"{hex}\""), HEX, &[M::SignatureWrapped]),
            (
                base64.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"),
                BASE64,
                &[M::SignaturePercentEncoded],
            ),
            (base64.replace('+', " "), BASE64, &[M::SignaturePlusLost]),
        ];
        for (text, form, expected) in cases {
            assert_eq!(mistakes(&text, form), expected, "{text}");
        }
    }

    #[test]
    fn several_signatures_are_all_read() {
        let base64 = STANDARD.encode(digest());
        let list = format!("v1a,AAAA v1,{base64} v1,{base64} nonsense");
        assert_eq!(read(&list).len(), 2);
        assert_eq!(read(&format!("v1,{base64} ").repeat(100)).len(), MAX_SIGNATURES);
    }

    #[test]
    fn other_lengths_are_told() {
        for (text, expected) in [
            (hex::encode([7; 20]), Some(20)),
            (STANDARD.encode([7; 64]), Some(64)),
            (format!("sha1={}", hex::encode([7; 20])), Some(20)),
            ("%%%".to_owned(), None),
        ] {
            assert!(read(&text).is_empty(), "{text}");
            assert_eq!(decoded_bytes(&text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,100}") {
            for written in read(&text) {
                for form in [HEX, BASE64, V1, SHA256] {
                    let _ = written.mistakes(form);
                }
            }
            let _ = decoded_bytes(&text);
        }
    }
}
