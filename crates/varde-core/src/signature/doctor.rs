//! The signature doctor: says why a signature isn't accepted.
//!
//! A signature can't be read backwards, but mistakes repeat. The doctor makes each known mistake, alone
//! and in pairs, signs what comes out, and reports the ones that give *exactly* the signature that was
//! given, likeliest first. So it can't guess wrong: a finding is a proof, and where the secret is another
//! one there is no finding, but advice on what to look at next.
//!
//! In scope: HubSpot's v1 to v3, Standard Webhooks with a secret, and the body signatures of GitHub and
//! Shopify. Out of scope: reading what a person pastes ([`crate::paste`]) and the check on the hot path
//! ([`super::hubspot`], [`super::standard_webhooks`]).
//!
//! How it searches: each part of the message is an axis ([`axis`]) with the values it may have had: the
//! body ([`body`]), the URL ([`uri`]), the key ([`key`]), the method, the timestamp ([`timestamp`]), and
//! the recipe that makes the signature of them ([`recipe`]). How the signature is written ([`written`]) is
//! seen, not searched. [`search`] goes through the combinations within a bound of hashed bytes.

mod mistake;
mod report;
mod scheme;
mod recipe;
mod axis;
mod body;
mod json_styles;
mod json_text;
mod number;
mod python;
mod charset;
mod uri;
mod parts;
mod query;
mod public;
mod key;
mod timestamp;
mod written;
mod search;
mod steps;
mod question;

use core::fmt;

pub use mistake::Mistake;
pub use question::{MAX_BODY, MAX_HEADERS, MAX_PUBLIC_URLS, Question};
pub use report::{
    Algorithm, Bytes, Change, Check, Diagnosis, Finding, NextStep, Part, PartName, Search, Signed, Verdict,
};
pub use scheme::{Announced, Scheme, announced};

use super::{Received, hubspot, integer, standard_webhooks};
use crate::time::{SECOND_MS, UnixMs};
use axis::rank;
use recipe::{Piece, Recipe};
use scheme::Refusal;
use search::{Effort, Hit, Space};
use written::Written;

/// Bytes that a search hashes at most, where the caller doesn't say. There are some 200 single mistakes, so
/// for a body of 100 KB that is each of them; for one of a few KB all pairs too.
pub const QUICK_BYTES: u64 = 24_000_000;
/// A bound for a search that may take a second or two: all pairs for a body of 10 KB.
pub const THOROUGH_BYTES: u64 = 200_000_000;

/// What the doctor is asked.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The request as the asker has it.
    pub received: Received<'a>,
    /// The secret that the check uses, then others that may have been used.
    pub secrets: &'a [&'a str],
    /// Secrets that were in force before.
    pub previous_secrets: &'a [&'a str],
    /// The scheme to look at; without one, all that the headers announce.
    pub scheme: Option<Scheme>,
    /// A signature to explain in place of the header's: for a request without its header, or for what
    /// one's own code computes.
    pub signature: Option<&'a str>,
    /// The time of the check; without one, age isn't looked at.
    pub now: Option<UnixMs>,
    /// Addresses that the sender may call, as registered there; for receivers behind a proxy.
    pub public_urls: &'a [&'a str],
    /// Bytes to hash at most: [`QUICK_BYTES`], [`THOROUGH_BYTES`], or another number.
    pub max_hashed_bytes: u64,
}

impl<'a> Case<'a> {
    /// A request with its secrets; everything else is left to the headers.
    #[must_use]
    pub const fn new(received: Received<'a>, secrets: &'a [&'a str]) -> Self {
        Self {
            received,
            secrets,
            previous_secrets: &[],
            scheme: None,
            signature: None,
            now: None,
            public_urls: &[],
            max_hashed_bytes: QUICK_BYTES,
        }
    }
}

impl fmt::Debug for Case<'_> {
    /// Shows no secret and no signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("received", &self.received)
            .field("secrets", &self.secrets.len())
            .field("scheme", &self.scheme)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Checks a request by each scheme in question, and explains the signatures that aren't accepted.
///
/// ```
/// use varde_core::signature::Received;
/// use varde_core::signature::doctor::{Case, Mistake, Scheme, diagnose};
/// use varde_core::signature::hubspot::{Message, Version, sign};
///
/// // HubSpot signs https; behind a proxy the receiver sees http.
/// let uri = "https://hooks.example.com/wf";
/// let message = Message { method: "POST", uri, body: b"{}", timestamp: "" };
/// let headers = [("x-hubspot-signature".to_owned(), sign(Version::V2, b"secret", &message))];
/// let received =
///     Received { method: "POST", uri: "http://hooks.example.com/wf", headers: &headers, body: b"{}" };
/// let diagnosis = diagnose(&Case { scheme: Some(Scheme::HubspotV2), ..Case::new(received, &["secret"]) });
/// assert_eq!(diagnosis.findings[0].mistakes, [Mistake::UrlScheme]);
/// ```
#[must_use]
pub fn diagnose(case: &Case<'_>) -> Diagnosis {
    let subjects = subjects(case);
    let mut diagnosis = Diagnosis {
        checks: Vec::new(),
        findings: Vec::new(),
        next_steps: Vec::new(),
        search: Search::default(),
    };
    if subjects.is_empty() {
        diagnosis.next_steps.push(steps::no_signature());
    }
    let public = public::candidates(case);
    for (done, subject) in subjects.iter().enumerate() {
        // What one scheme leaves of its share is the others'.
        let left = case.max_hashed_bytes.saturating_sub(diagnosis.search.hashed_bytes);
        let share = left / (subjects.len() - done) as u64;
        subject.explain(case, &public, share, &mut diagnosis);
        diagnosis.checks.push(subject.check(case));
    }
    diagnosis.findings.sort_by_key(|finding| rank(&finding.mistakes));
    diagnosis
}

/// Checks a request by each scheme in question: the one asked for, or those that its headers announce.
#[must_use]
pub fn verify_all(case: &Case<'_>) -> Vec<Check> {
    subjects(case).iter().map(|subject| subject.check(case)).collect()
}

/// The bytes that a scheme signs for a request, in labelled parts; with the first secret, which isn't
/// shown.
#[must_use]
pub fn signed(case: &Case<'_>, scheme: Scheme) -> Signed {
    let recipe = Recipe::of(scheme);
    let received = &case.received;
    let header = |name| received.header(name).unwrap_or_default().as_bytes();
    let secret = case.secrets.first().copied().unwrap_or_default();
    let pieces = recipe.pieces.iter().map(|&piece| {
        let bytes = match piece {
            Piece::Secret => secret.as_bytes(),
            Piece::Method => received.method.as_bytes(),
            Piece::Body => received.body,
            Piece::Id => header(standard_webhooks::ID_HEADER),
            Piece::Timestamp => header(scheme.timestamp_header().unwrap_or_default()),
            Piece::Text(text) => text.as_bytes(),
            Piece::Url if scheme == Scheme::HubspotV3 => {
                return (piece, hubspot::v3_uri(received.uri).into_owned().into_bytes().into());
            }
            Piece::Url => received.uri.as_bytes(),
        };
        (piece, bytes.into())
    });
    Signed::of(&recipe, secret.as_bytes(), pieces.collect())
}

/// A scheme to look at, with the verdict of its check.
struct Subject {
    scheme: Scheme,
    signature: Option<String>,
    refusal: Option<Refusal>,
}

fn subjects(case: &Case<'_>) -> Vec<Subject> {
    let announced = announced(&case.received);
    let asked = case.scheme.or_else(|| {
        let signature = case.signature?;
        announced.first().map(|it| it.scheme).or_else(|| Some(scheme::guess(signature, &case.received)))
    });
    if let Some(scheme) = asked {
        let signature = case.signature.or_else(|| case.received.header(scheme.header()));
        return vec![Subject::new(case, scheme, signature)];
    }
    let mut subjects: Vec<Subject> =
        announced.iter().map(|it| Subject::new(case, it.scheme, Some(&it.signature))).collect();
    // HubSpot's v1 and v2 share a header: it is one signature, and right if either accepts it.
    let in_shared = |subject: &Subject| subject.scheme.header() == hubspot::SIGNATURE_HEADER;
    if subjects.iter().filter(|subject| in_shared(subject)).count() > 1 {
        let valid = subjects.iter().find(|it| in_shared(it) && it.refusal.is_none()).map(|it| it.scheme);
        let kept = valid.unwrap_or(Scheme::HubspotV2);
        subjects.retain(|subject| !in_shared(subject) || subject.scheme == kept);
    }
    subjects
}

impl Subject {
    fn new(case: &Case<'_>, scheme: Scheme, signature: Option<&str>) -> Self {
        let mut headers = case.received.headers.to_vec();
        if let Some(signature) = case.signature {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(scheme.header()));
            headers.push((scheme.header().to_owned(), signature.to_owned()));
        }
        let received = Received { headers: &headers, ..case.received };
        let refusal = scheme::verify(scheme, case.secrets.first().copied(), &received, case.now).err();
        Self { scheme, signature: signature.map(str::to_owned), refusal }
    }

    fn check(&self, case: &Case<'_>) -> Check {
        let verdict = match &self.refusal {
            None => Verdict::Valid,
            Some(refusal) => Verdict::Refused { code: refusal.code(), reason: refusal.to_string() },
        };
        Check {
            scheme: self.scheme,
            header: self.scheme.header(),
            verdict,
            signed: signed(case, self.scheme),
        }
    }

    fn explain(&self, case: &Case<'_>, public: &public::Public, max_bytes: u64, diagnosis: &mut Diagnosis) {
        let given = self.signature.as_deref().map(written::read).unwrap_or_default();
        let mut effort = Effort::default();
        let mut explained = false;
        if self.refusal.is_none() {
            // Accepted: there is nothing to search, but a stricter receiver may mind how it is written.
            self.add_oddities(case, &given, diagnosis);
            explained = true;
        } else if !given.is_empty() {
            let space = Space::of(case, self.scheme, public);
            for hit in space.search(&given, max_bytes, &mut effort) {
                diagnosis.findings.push(self.finding(case, &space, &hit, &given));
                explained = true;
            }
        }
        let search = Search {
            tried: effort.tried,
            hashed_bytes: effort.hashed_bytes,
            left_out: if explained { 0 } else { effort.left_out },
        };
        diagnosis.search.tried += search.tried;
        diagnosis.search.hashed_bytes += search.hashed_bytes;
        diagnosis.search.left_out += search.left_out;
        if !explained {
            for step in steps::next(case, self.scheme, self.signature.as_deref(), search) {
                if !diagnosis.next_steps.contains(&step) {
                    diagnosis.next_steps.push(step);
                }
            }
        }
    }

    fn finding(&self, case: &Case<'_>, space: &Space<'_>, hit: &Hit, given: &[Written]) -> Finding {
        let (mut mistakes, also) = space.mistakes(hit);
        let (recipe, pieces) = space.message(hit);
        // A signature of another scheme is written as that scheme has it.
        let scheme_form = Recipe::of(self.scheme).form;
        if let Some(written) = given.get(hit.written) {
            let as_asked = written.mistakes(scheme_form);
            let as_made = written.mistakes(recipe.form);
            mistakes.extend(if as_made.len() < as_asked.len() { as_made } else { as_asked });
        }
        mistakes.extend(self.header_mistakes(case));
        let signed_now = Signed::of(recipe, space.key(hit), pieces);
        let changes = signed(case, self.scheme).changes_to(&signed_now);
        Finding {
            scheme: self.scheme,
            mistakes,
            also,
            secret: space.secret(hit),
            signed: signed_now,
            changes,
        }
    }

    /// How an accepted signature is written, where that isn't as the scheme says.
    fn add_oddities(&self, case: &Case<'_>, given: &[Written], diagnosis: &mut Diagnosis) {
        let form = Recipe::of(self.scheme).form;
        // Of several signatures only some may be accepted; then it isn't known here which.
        if let [written] = given {
            let mistakes = written.mistakes(form);
            if !mistakes.is_empty() {
                diagnosis.findings.push(Finding {
                    scheme: self.scheme,
                    mistakes,
                    also: Vec::new(),
                    secret: Some(0),
                    signed: signed(case, self.scheme),
                    changes: Vec::new(),
                });
            }
        }
    }

    /// What is wrong with the headers, whatever was signed.
    fn header_mistakes(&self, case: &Case<'_>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let expected = match self.scheme {
            Scheme::HubspotV1 => Some("v1"),
            Scheme::HubspotV2 => Some("v2"),
            _ => None,
        };
        if let (Some(expected), Some(found)) = (expected, case.received.header(hubspot::VERSION_HEADER))
            && !found.trim().eq_ignore_ascii_case(expected)
        {
            mistakes.push(Mistake::VersionHeader);
        }
        let id = case.received.header(standard_webhooks::ID_HEADER);
        if self.scheme == Scheme::StandardWebhooks && id.is_some_and(|id| id.contains('.')) {
            mistakes.push(Mistake::IdFullStop);
        }
        mistakes.extend(self.timestamp_mistake(case));
        mistakes
    }

    fn timestamp_mistake(&self, case: &Case<'_>) -> Option<Mistake> {
        let header = self.scheme.timestamp_header()?;
        let Some(text) = case.received.header(header) else { return Some(Mistake::TimestampHeaderMissing) };
        let number = integer(text);
        let at = timestamp::read(text);
        let (in_unit, limit_ms, ahead_limit_ms) = match self.scheme {
            Scheme::HubspotV3 => (number.map(UnixMs), hubspot::MAX_AGE_MS, u64::MAX),
            _ => (
                number.map(|seconds| UnixMs(seconds.saturating_mul(SECOND_MS))),
                standard_webhooks::TOLERANCE_MS,
                standard_webhooks::TOLERANCE_MS,
            ),
        };
        if in_unit.is_none() || in_unit != at {
            return Some(Mistake::TimestampUnit);
        }
        let (signed, now) = (at?, case.now?);
        if now.since_ms(signed) > limit_ms {
            Some(Mistake::TimestampStale)
        } else if signed.since_ms(now) > ahead_limit_ms {
            Some(Mistake::TimestampAhead)
        } else {
            None
        }
    }
}
