//! What the doctor answers: made for a page, which gets it as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::mistake::Mistake;
use super::recipe::{Mix, Piece, Recipe};
use super::scheme::Scheme;
use super::search::Labelled;

/// Bytes shown before the first difference.
const CONTEXT_BEFORE: usize = 24;
/// Bytes shown from the first difference on.
const CONTEXT_AFTER: usize = 48;

/// What was found out about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// One for each scheme that was looked at, in the order of [`Scheme::ALL`].
    pub checks: Vec<Check>,
    /// Explanations of the signatures that weren't accepted, likeliest first. Each of them reproduces the
    /// signature; where none does, there is none.
    pub findings: Vec<Finding>,
    /// What to do next where a signature stays unexplained, most useful first.
    pub next_steps: Vec<NextStep>,
    /// How far the search went.
    pub search: Search,
}

/// How far a search went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Search {
    /// Candidates that were signed and compared.
    pub tried: u32,
    /// Bytes that went through the hash.
    pub hashed_bytes: u64,
    /// Candidates that were left out because the bound was reached; zero for a whole search.
    pub left_out: u32,
}

/// A request checked by one scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The scheme.
    pub scheme: Scheme,
    /// The header that holds the signature.
    pub header: &'static str,
    /// Whether a receiver accepts it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The bytes that the scheme signs, made of the request as given.
    pub signed: Signed,
}

/// Whether a receiver accepts a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Signature and age are right.
    Valid,
    /// They aren't.
    Refused {
        /// A stable slug.
        code: &'static str,
        /// What a receiver logs.
        reason: String,
    },
}

/// One explanation: signing like this gives exactly the signature that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The scheme that the signature was meant for.
    pub scheme: Scheme,
    /// What went wrong; all of them together.
    pub mistakes: Vec<Mistake>,
    /// Other mistakes that come to the same with this request.
    pub also: Vec<Mistake>,
    /// Which of the given secrets it was signed with, by its index, the previous ones counted on; `null` where none of them was used.
    pub secret: Option<usize>,
    /// The bytes that were signed.
    pub signed: Signed,
    /// Where they differ from what the scheme signs.
    pub changes: Vec<Change>,
}

/// A message as it goes into the hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// What was done with the parts.
    pub algorithm: Algorithm,
    /// The parts in their order, with nothing between them.
    pub parts: Vec<Part>,
}

/// What is done with the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-256 over the parts.
    Sha256,
    /// HMAC-SHA256 over the parts, with the secret as its key.
    HmacSha256,
    /// HMAC-SHA256 over the secret, with the parts as its key: the arguments swapped.
    HmacSha256Swapped,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub name: PartName,
    /// Its bytes.
    #[serde(flatten)]
    pub bytes: Bytes,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the schemes' own words")]
pub enum PartName {
    Secret,
    Id,
    Method,
    Url,
    Body,
    Timestamp,
    Separator,
}

/// Bytes for showing: `{"text": …}`, or `{"base64": …}` for what isn't UTF-8. A secret is never shown,
/// only how long it is: `{"hidden_bytes": 36}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// As they are.
    Shown(Vec<u8>),
    /// A secret of so many bytes.
    Hidden(usize),
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Hidden(bytes) => map.serialize_entry("hidden_bytes", bytes)?,
            Self::Shown(bytes) => match core::str::from_utf8(bytes) {
                Ok(text) => map.serialize_entry("text", text)?,
                Err(_) => map.serialize_entry("base64", &STANDARD.encode(bytes))?,
            },
        }
        map.end()
    }
}

/// A part that was signed in another form than the scheme signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which part.
    pub part: PartName,
    /// Offset of the first byte that differs, in both.
    pub at: usize,
    /// What the scheme signs, around that byte.
    pub given: String,
    /// What was signed, around that byte.
    pub signed: String,
}

/// What to do where a signature stays unexplained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// A stable slug.
    pub code: &'static str,
    /// A sentence or two for people.
    pub text: String,
}

impl Signed {
    pub(super) fn of(recipe: &Recipe, key: &[u8], pieces: Vec<Labelled<'_>>) -> Self {
        let secret = || Part { name: PartName::Secret, bytes: Bytes::Hidden(key.len()) };
        let algorithm = match recipe.mix {
            Mix::Hmac => Algorithm::HmacSha256,
            Mix::Swapped => Algorithm::HmacSha256Swapped,
            Mix::SecretFirst | Mix::SecretLast | Mix::NoSecret => Algorithm::Sha256,
        };
        let mut parts = Vec::with_capacity(pieces.len() + 1);
        if recipe.mix == Mix::SecretFirst {
            parts.push(secret());
        }
        for (piece, bytes) in pieces {
            let name = match piece {
                Piece::Secret => {
                    parts.push(secret());
                    continue;
                }
                Piece::Id => PartName::Id,
                Piece::Method => PartName::Method,
                Piece::Url => PartName::Url,
                Piece::Body => PartName::Body,
                Piece::Timestamp => PartName::Timestamp,
                Piece::Text(_) => PartName::Separator,
            };
            parts.push(Part { name, bytes: Bytes::Shown(bytes.into_owned()) });
        }
        if recipe.mix == Mix::SecretLast {
            parts.push(secret());
        }
        Self { algorithm, parts }
    }

    /// A part's bytes, if the message has it and it may be shown.
    #[must_use]
    pub fn part(&self, name: PartName) -> Option<&[u8]> {
        self.parts.iter().find(|part| part.name == name).and_then(|part| match &part.bytes {
            Bytes::Shown(bytes) => Some(&bytes[..]),
            Bytes::Hidden(_) => None,
        })
    }

    /// The parts that both messages have in different forms.
    pub(super) fn changes_to(&self, signed: &Self) -> Vec<Change> {
        let names = [PartName::Id, PartName::Method, PartName::Url, PartName::Body, PartName::Timestamp];
        names
            .into_iter()
            .filter_map(|part| {
                let (given, signed) = (self.part(part)?, signed.part(part)?);
                let at = given.iter().zip(signed).take_while(|(left, right)| left == right).count();
                (given != signed).then(|| Change {
                    part,
                    at,
                    given: excerpt(given, at),
                    signed: excerpt(signed, at),
                })
            })
            .collect()
    }
}

fn excerpt(bytes: &[u8], at: usize) -> String {
    let from = at.saturating_sub(CONTEXT_BEFORE);
    let to = bytes.len().min(at + CONTEXT_AFTER);
    String::from_utf8_lossy(bytes.get(from..to).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn shown(name: PartName, bytes: &[u8]) -> Part {
        Part { name, bytes: Bytes::Shown(bytes.to_vec()) }
    }

    #[test]
    fn the_secret_is_hidden_wherever_it_stands() {
        let message = |mix| {
            let recipe = Recipe { mix, ..Recipe::of(Scheme::HubspotV1) };
            let pieces =
                vec![(Piece::Secret, Cow::Borrowed(&b"key"[..])), (Piece::Body, Cow::Borrowed(&b"{}"[..]))];
            Signed::of(&recipe, b"key", pieces)
        };
        let hidden = Part { name: PartName::Secret, bytes: Bytes::Hidden(3) };
        let body = shown(PartName::Body, b"{}");
        let both = [hidden.clone(), body.clone()];
        assert_eq!(message(Mix::Hmac).parts, both);
        assert_eq!(message(Mix::SecretFirst).parts, [hidden.clone(), hidden.clone(), body.clone()]);
        assert_eq!(message(Mix::SecretLast).parts, [hidden.clone(), body, hidden]);
        assert_eq!(message(Mix::NoSecret).parts, both);
        assert_eq!(message(Mix::Swapped).algorithm, Algorithm::HmacSha256Swapped);
    }

    #[test]
    fn changes_are_cut_out() {
        let long = "x".repeat(100);
        let given = Signed {
            algorithm: Algorithm::Sha256,
            parts: vec![
                shown(PartName::Method, b"POST"),
                shown(PartName::Body, format!("{long}1{long}").as_bytes()),
                shown(PartName::Url, b"u"),
            ],
        };
        let signed = Signed {
            algorithm: Algorithm::Sha256,
            parts: vec![
                shown(PartName::Method, b"POST"),
                shown(PartName::Body, format!("{long}2").as_bytes()),
            ],
        };
        let change = Change {
            part: PartName::Body,
            at: 100,
            given: format!("{}1{}", &long[..24], &long[..47]),
            signed: format!("{}2", &long[..24]),
        };
        assert_eq!(given.changes_to(&signed), [change]);
        assert_eq!(given.changes_to(&given), []);
    }

    #[test]
    fn diagnosis_format_unchanged() {
        let signed = Signed {
            algorithm: Algorithm::HmacSha256,
            parts: vec![
                shown(PartName::Method, b"POST"),
                shown(PartName::Body, b"\xff"),
                Part { name: PartName::Secret, bytes: Bytes::Hidden(36) },
            ],
        };
        let diagnosis = Diagnosis {
            checks: vec![Check {
                scheme: Scheme::HubspotV3,
                header: "x-hubspot-signature-v3",
                verdict: Verdict::Refused { code: "wrong_signature", reason: "why".to_owned() },
                signed: signed.clone(),
            }],
            findings: vec![Finding {
                scheme: Scheme::HubspotV3,
                mistakes: vec![Mistake::UrlWww],
                also: vec![],
                secret: Some(0),
                signed,
                changes: vec![Change {
                    part: PartName::Url,
                    at: 8,
                    given: "a".to_owned(),
                    signed: "b".to_owned(),
                }],
            }],
            next_steps: vec![NextStep { code: "compare_secret", text: "Do.".to_owned() }],
            search: Search { tried: 1, hashed_bytes: 2, left_out: 3 },
        };
        let expected = concat!(
            r#"{"checks":[{"scheme":"hubspot_v3","header":"x-hubspot-signature-v3","#,
            r#""verdict":"refused","code":"wrong_signature","reason":"why","#,
            r#""signed":{"algorithm":"hmac_sha256","parts":[{"name":"method","text":"POST"},"#,
            r#"{"name":"body","base64":"/w=="},{"name":"secret","hidden_bytes":36}]}}],"#,
            r#""findings":[{"scheme":"hubspot_v3","mistakes":[{"code":"url_www","#,
            r#""what":"The URL was signed with or without `www.`.","#,
            r#""change":"Register the address that answers itself, without a redirect."}],"#,
            r#""also":[],"secret":0,"signed":{"algorithm":"hmac_sha256","parts":[{"name":"method","text":"POST"},"#,
            r#"{"name":"body","base64":"/w=="},{"name":"secret","hidden_bytes":36}]},"#,
            r#""changes":[{"part":"url","at":8,"given":"a","signed":"b"}]}],"#,
            r#""next_steps":[{"code":"compare_secret","text":"Do."}],"#,
            r#""search":{"tried":1,"hashed_bytes":2,"left_out":3}}"#
        );
        assert_eq!(serde_json::to_string(&diagnosis).unwrap(), expected);
    }
}
