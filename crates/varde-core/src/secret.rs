//! Secrets: their values, their rotation, and where they may be sent.
//!
//! In scope: [`Secret`] (a value), [`StoredSecret`] (a named value with its rotation), sealing under the
//! master key ([`seal`], [`key_ring`]), the hosts a secret may go to ([`host`]), finding secrets in text ([`mask`]).
//! Out of scope: the master key's place (the Worker's environment), dice, storage.
//!
//! A value leaves this module by [`Secret::expose`] only; no `Debug`, `Display` or error holds one.

pub mod host;
pub mod key_ring;
pub mod mask;
pub mod seal;

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::signature::standard_webhooks;
use crate::slug::Slug;
use crate::time::{DAY_MS, UnixMs};

pub use host::HostPattern;
pub use key_ring::KeyRing;
pub use mask::Mask;
pub use seal::{MasterKey, Sealed};

/// Longest value, in bytes: half of the 8 KiB that common servers take for all headers together.
pub const MAX_VALUE_BYTES: usize = 4_096;
/// How long the former value stays in force after a rotation, where the caller doesn't say.
pub const DEFAULT_OVERLAP_MS: u64 = DAY_MS;
/// Longest overlap: past a month a former secret is forgotten, not rotated.
pub const MAX_OVERLAP_MS: u64 = 30 * DAY_MS;
/// Most hosts that one secret may be limited to.
pub const MAX_HOSTS: usize = 20;

/// The value of a secret. Its `Debug` shows nothing; its memory is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// A text that can't be a secret's value. None of them holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// It is empty.
    #[error("expected 1 to {MAX_VALUE_BYTES} bytes, found none")]
    Empty,
    /// It is longer than [`MAX_VALUE_BYTES`].
    #[error("expected at most {MAX_VALUE_BYTES} bytes, found {found}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// It starts or ends with white space, which HTTP drops and a signature doesn't.
    #[error("starts or ends with white space; was it pasted along?")]
    Untrimmed,
    /// It holds a control character.
    #[error("holds a control character at byte {at}")]
    Control {
        /// Its offset.
        at: usize,
    },
}

impl InvalidValue {
    /// A stable slug for answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_secret"
    }
}

impl Secret {
    /// Takes a value that a person picked.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] for what is empty, too long, untrimmed, or holds control characters: no scheme
    /// can send those, and all of them are mistakes of pasting.
    pub fn new(value: impl Into<String>) -> Result<Self, InvalidValue> {
        let value = Zeroizing::new(value.into());
        if value.is_empty() {
            return Err(InvalidValue::Empty);
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(InvalidValue::TooLong { found: value.len() });
        }
        if value.trim().len() != value.len() {
            return Err(InvalidValue::Untrimmed);
        }
        if let Some((at, _)) = value.char_indices().find(|(_, character)| character.is_control()) {
            return Err(InvalidValue::Control { at });
        }
        Ok(Self(value))
    }

    /// A value that nobody picked: a token, or another spelling of a value.
    pub(crate) fn unchecked(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The `whpk_…` that checks signatures made with it, if it is an ed25519 key.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        let pair = self.0.starts_with(standard_webhooks::SECRET_KEY_PREFIX);
        if pair { standard_webhooks::Key::parse(&self.0).ok()?.public_key() } else { None }
    }

    /// The value itself, for signing and sending.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    /// Takes a time that depends on the lengths only.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// What kind of value is made where the caller brings none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generate {
    /// `whsec_` and base64, a key for Standard Webhooks.
    StandardWebhooks,
    /// `whsk_` and base64, an ed25519 pair for Standard Webhooks; its public key can be known.
    StandardWebhooksEd25519,
    /// 43 characters of URL-safe base64, a key for everything else.
    Token,
}

impl Generate {
    /// Makes a value out of 256 random bits.
    #[must_use]
    pub fn value(self, dice: &[u8; 32]) -> Secret {
        let mut text = Zeroizing::new(String::new());
        match self {
            Self::StandardWebhooks => {
                text.push_str(standard_webhooks::PREFIX);
                STANDARD.encode_string(dice, &mut text);
            }
            Self::StandardWebhooksEd25519 => text = standard_webhooks::secret_key_text(dice),
            Self::Token => URL_SAFE_NO_PAD.encode_string(dice, &mut text),
        }
        Secret(text)
    }
}

/// A named secret with its rotation: in memory with `V =` [`Secret`], at rest with `V =` [`Sealed`].
///
/// At most two values are in force, so a rotation during an overlap ends that overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret<V> {
    /// What workflows call it.
    pub name: Slug,
    /// When it was first stored.
    pub created_at: UnixMs,
    /// The value in force, unless `pending` has come due.
    pub current: V,
    /// The former value, during an overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous<V>>,
    /// The next value, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending<V>>,
    /// Where it may be sent; anywhere if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
}

/// A former value that is still in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous<V> {
    /// The value.
    pub value: V,
    /// The first moment at which it no longer counts.
    pub until: UnixMs,
}

/// A value that becomes current by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending<V> {
    /// The value.
    pub value: V,
    /// The first moment at which it counts.
    pub activate_at: UnixMs,
    /// How long the value it replaces stays in force from then on.
    pub overlap_ms: u64,
}

/// The values that count at one moment, and where they may go.
#[derive(Debug, Clone, Copy)]
pub struct SecretInForce<'a> {
    /// What schemes with one value use, and the first of two signatures.
    pub current: &'a Secret,
    /// The former value during an overlap: for a second signature, and for checks.
    pub previous: Option<&'a Secret>,
    /// Where they may be sent; anywhere if empty.
    pub hosts: &'a [HostPattern],
}

impl<V> StoredSecret<V> {
    /// A secret as it is first stored.
    #[must_use]
    pub const fn new(name: Slug, value: V, hosts: Vec<HostPattern>, now: UnixMs) -> Self {
        Self { name, created_at: now, current: value, previous: None, pending: None, hosts }
    }

    /// Rotates to `value` at `activate_at` (at once, if that isn't in the future); from then on the value
    /// it replaces stays in force for `overlap_ms`, at most [`MAX_OVERLAP_MS`].
    ///
    /// A rotation that still waits is replaced by this one.
    pub fn rotate(&mut self, value: V, overlap_ms: u64, activate_at: UnixMs, now: UnixMs) {
        self.advance(now);
        self.pending = Some(Pending { value, activate_at, overlap_ms: overlap_ms.min(MAX_OVERLAP_MS) });
        if activate_at <= now {
            self.pending = self.pending.take().map(|pending| Pending { activate_at: now, ..pending });
            self.advance(now);
        }
    }

    /// Moves a pending value that has come due into force and forgets a previous one that has ended.
    ///
    /// For whoever stores the secret, so that dead values don't stay at rest. [`StoredSecret::in_force`]
    /// doesn't need it; an extra call does nothing.
    pub fn advance(&mut self, now: UnixMs) {
        if let Some(due) = self.pending.take_if(|pending| pending.activate_at <= now) {
            let until = due.activate_at.plus_ms(due.overlap_ms);
            let former = core::mem::replace(&mut self.current, due.value);
            self.previous = Some(Previous { value: former, until });
        }
        self.previous.take_if(|previous| previous.until <= now);
    }

    /// Until when the former value counts, if one counts now.
    #[must_use]
    pub fn previous_until(&self, now: UnixMs) -> Option<UnixMs> {
        self.values_at(now).1.map(|(_, until)| until)
    }

    /// When the next value comes into force, if one waits.
    #[must_use]
    pub fn activate_at(&self, now: UnixMs) -> Option<UnixMs> {
        self.pending.as_ref().map(|pending| pending.activate_at).filter(|&at| at > now)
    }

    /// All values, in force or not: what a [`Mask`] hides.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        let previous = self.previous.as_ref().map(|previous| &previous.value);
        let pending = self.pending.as_ref().map(|pending| &pending.value);
        core::iter::once(&self.current).chain(previous).chain(pending)
    }

    fn values_at(&self, now: UnixMs) -> (&V, Option<(&V, UnixMs)>) {
        let (current, previous) = match &self.pending {
            Some(pending) if pending.activate_at <= now => {
                (&pending.value, Some((&self.current, pending.activate_at.plus_ms(pending.overlap_ms))))
            }
            _ => (&self.current, self.previous.as_ref().map(|previous| (&previous.value, previous.until))),
        };
        (current, previous.filter(|&(_, until)| until > now))
    }
}

impl StoredSecret<Secret> {
    /// The values that count at `now`, whether or not [`StoredSecret::advance`] was called.
    #[must_use]
    pub fn in_force(&self, now: UnixMs) -> SecretInForce<'_> {
        let (current, previous) = self.values_at(now);
        SecretInForce { current, previous: previous.map(|(value, _)| value), hosts: &self.hosts }
    }
}

impl SecretInForce<'_> {
    /// Whether the secret may be sent to a host, as [`HostPattern::allows`] has it.
    #[must_use]
    pub fn may_go_to(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.allows(host))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(value: &str) -> Secret {
        Secret::new(value).unwrap()
    }

    fn stored(value: &str) -> StoredSecret<Secret> {
        StoredSecret::new("shipping-app".parse().unwrap(), secret(value), Vec::new(), UnixMs(1_000))
    }

    /// The current and the previous value at a time.
    fn at(stored: &StoredSecret<Secret>, now: u64) -> (&str, Option<&str>) {
        let in_force = stored.in_force(UnixMs(now));
        (in_force.current.expose(), in_force.previous.map(Secret::expose))
    }

    #[test]
    fn takes_what_a_scheme_can_send() {
        for good in ["a", "Bearer abc", "pass wörd", &"x".repeat(MAX_VALUE_BYTES)] {
            assert_eq!(secret(good).expose(), good);
        }
        let cases = [
            (String::new(), InvalidValue::Empty),
            ("x".repeat(MAX_VALUE_BYTES + 1), InvalidValue::TooLong { found: 4_097 }),
            ("abc\n".to_owned(), InvalidValue::Untrimmed),
            (" abc".to_owned(), InvalidValue::Untrimmed),
            ("abc\u{a0}".to_owned(), InvalidValue::Untrimmed),
            ("a\nb".to_owned(), InvalidValue::Control { at: 1 }),
            ("ø\u{7f}b".to_owned(), InvalidValue::Control { at: 2 }),
            ("a\u{85}b".to_owned(), InvalidValue::Control { at: 1 }),
        ];
        for (bad, expected) in cases {
            assert_eq!(Secret::new(bad.clone()), Err(expected), "{bad:?}");
            assert_eq!(expected.code(), "invalid_secret");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let mut stored = stored("first-value");
        stored.rotate(secret("second-value"), 10, UnixMs(2_000), UnixMs(2_000));
        stored.rotate(secret("third-value"), 10, UnixMs(9_000), UnixMs(2_000));
        assert!(stored.previous.is_some() && stored.pending.is_some());
        let shown = format!("{stored:?} {:?}", stored.in_force(UnixMs(2_000)));
        assert!(shown.contains("shipping-app") && !shown.contains("value\""), "{shown}");
        for value in stored.values() {
            assert!(!shown.contains(value.expose()), "{shown}");
        }
    }

    #[test]
    fn equality_is_of_values() {
        assert_eq!(secret("abc"), secret("abc"));
        assert_ne!(secret("abc"), secret("abd"));
        assert_ne!(secret("abc"), secret("abcd"));
    }

    #[test]
    fn generated_value_format_unchanged() {
        let dice = core::array::from_fn(|at| 0xf0 + u8::try_from(at % 16).unwrap());
        let webhooks = Generate::StandardWebhooks.value(&dice);
        assert_eq!(webhooks.expose(), "whsec_8PHy8/T19vf4+fr7/P3+//Dx8vP09fb3+Pn6+/z9/v8=");
        assert!(standard_webhooks::Key::parse(webhooks.expose()).is_ok());
        let token = Generate::Token.value(&dice);
        assert_eq!(token.expose(), "8PHy8_T19vf4-fr7_P3-__Dx8vP09fb3-Pn6-_z9_v8");
        let pair = Generate::StandardWebhooksEd25519.value(&dice);
        assert_eq!(
            pair.expose(),
            "whsk_8PHy8/T19vf4+fr7/P3+//Dx8vP09fb3+Pn6+/z9/v9osDX44WGRK3YFewpZMni65WTGo0AHWsih9pZGOYUwLw=="
        );
        assert_eq!(pair.public_key().as_deref(), Some("whpk_aLA1+OFhkSt2BXsKWTJ4uuVkxqNAB1rIofaWRjmFMC8="));
        for value in [webhooks, token, pair] {
            assert_eq!(Secret::new(value.expose()), Ok(value));
        }
        let words = [Generate::StandardWebhooks, Generate::StandardWebhooksEd25519, Generate::Token]
            .map(|kind| serde_json::to_string(&kind).unwrap());
        assert_eq!(words, ["\"standard_webhooks\"", "\"standard_webhooks_ed25519\"", "\"token\""]);
    }

    #[test]
    fn only_a_pair_has_a_public_key() {
        for text in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_####", "token"] {
            assert_eq!(secret(text).public_key(), None, "{text}");
        }
    }

    #[test]
    fn a_rotation_keeps_the_former_value_for_the_overlap() {
        let mut stored = stored("old");
        assert_eq!(at(&stored, 1_500), ("old", None));
        stored.rotate(secret("new"), 500, UnixMs(2_000), UnixMs(2_000));
        assert_eq!(at(&stored, 2_000), ("new", Some("old")));
        assert_eq!(at(&stored, 2_499), ("new", Some("old")));
        assert_eq!(at(&stored, 2_500), ("new", None));
        assert_eq!(stored.previous_until(UnixMs(2_499)), Some(UnixMs(2_500)));
        assert_eq!(stored.previous_until(UnixMs(2_500)), None);
        assert_eq!(stored.created_at, UnixMs(1_000));
    }

    #[test]
    fn no_overlap_forgets_at_once() {
        let mut stored = stored("leaked");
        stored.rotate(secret("new"), 0, UnixMs(2_000), UnixMs(2_000));
        assert_eq!(at(&stored, 2_000), ("new", None));
        assert_eq!(stored.values().count(), 1);
    }

    #[test]
    fn an_activation_in_the_past_counts_from_now() {
        let mut stored = stored("old");
        stored.rotate(secret("new"), 500, UnixMs(0), UnixMs(2_000));
        assert_eq!(at(&stored, 2_499), ("new", Some("old")));
        assert_eq!(at(&stored, 2_500), ("new", None));
    }

    #[test]
    fn a_pending_value_comes_into_force_by_itself() {
        let mut stored = stored("old");
        stored.rotate(secret("new"), 500, UnixMs(5_000), UnixMs(2_000));
        assert_eq!(at(&stored, 4_999), ("old", None));
        assert_eq!(stored.activate_at(UnixMs(4_999)), Some(UnixMs(5_000)));
        assert_eq!(at(&stored, 5_000), ("new", Some("old")));
        assert_eq!(stored.activate_at(UnixMs(5_000)), None);
        assert_eq!(at(&stored, 5_499), ("new", Some("old")));
        assert_eq!(stored.previous_until(UnixMs(5_499)), Some(UnixMs(5_500)));
        assert_eq!(at(&stored, 5_500), ("new", None));
    }

    #[test]
    fn a_second_rotation_replaces_one_that_waits() {
        let mut stored = stored("a");
        stored.rotate(secret("b"), 500, UnixMs(5_000), UnixMs(2_000));
        stored.rotate(secret("c"), 500, UnixMs(6_000), UnixMs(3_000));
        assert_eq!(at(&stored, 5_500), ("a", None));
        assert_eq!(at(&stored, 6_000), ("c", Some("a")));
        // Past its time the waiting value isn't dropped, but the one that is replaced.
        stored.rotate(secret("d"), 500, UnixMs(7_000), UnixMs(7_000));
        assert_eq!(at(&stored, 7_000), ("d", Some("c")));
    }

    #[test]
    fn overlaps_are_bounded() {
        let mut stored = stored("old");
        stored.rotate(secret("new"), u64::MAX, UnixMs(2_000), UnixMs(2_000));
        assert_eq!(stored.previous_until(UnixMs(2_000)), Some(UnixMs(2_000 + MAX_OVERLAP_MS)));
    }

    #[test]
    fn hosts_limit_where_it_may_go() {
        let mut stored = stored("a");
        assert!(stored.in_force(UnixMs(0)).may_go_to("anywhere.example"));
        stored.hosts = vec!["api.example.com".parse().unwrap(), "*.example.org".parse().unwrap()];
        let in_force = stored.in_force(UnixMs(0));
        assert!(in_force.may_go_to("api.example.com"));
        assert!(in_force.may_go_to("eu.example.org"));
        assert!(!in_force.may_go_to("example.com"));
    }

    #[test]
    fn stored_secret_format_unchanged() {
        let plain = StoredSecret::new("a".parse().unwrap(), "sealed-1", Vec::new(), UnixMs(1));
        let expected = r#"{"name":"a","created_at":1,"current":"sealed-1"}"#;
        assert_eq!(serde_json::to_string(&plain).unwrap(), expected);
        assert_eq!(serde_json::from_str::<StoredSecret<&str>>(expected).unwrap(), plain);

        let full = StoredSecret {
            previous: Some(Previous { value: "sealed-0", until: UnixMs(9) }),
            pending: Some(Pending { value: "sealed-2", activate_at: UnixMs(7), overlap_ms: 5 }),
            hosts: vec!["*.example.com".parse().unwrap()],
            ..plain
        };
        let expected = r#"{"name":"a","created_at":1,"current":"sealed-1","previous":{"value":"sealed-0","until":9},"pending":{"value":"sealed-2","activate_at":7,"overlap_ms":5},"hosts":["*.example.com"]}"#;
        assert_eq!(serde_json::to_string(&full).unwrap(), expected);
        assert_eq!(serde_json::from_str::<StoredSecret<&str>>(expected).unwrap(), full);
    }

    proptest! {
        /// Whether and when `advance` is called makes no difference to what is in force.
        #[test]
        fn advancing_changes_nothing_in_force(
            rotations in prop::collection::vec((0..100u64, 0..60u64, 0..60u64), 0..6),
            advances in prop::collection::vec(any::<bool>(), 6),
            look in 0..100u64,
        ) {
            let (mut lazy, mut eager) = (stored("0"), stored("0"));
            let mut now = 0;
            for (at, (step, overlap, wait)) in rotations.iter().enumerate() {
                now += step;
                if advances[at] {
                    eager.advance(UnixMs(now));
                }
                let value = secret(&at.to_string());
                lazy.rotate(value.clone(), *overlap, UnixMs(now + wait), UnixMs(now));
                eager.rotate(value, *overlap, UnixMs(now + wait), UnixMs(now));
            }
            now += look;
            let before = at(&lazy, now);
            eager.advance(UnixMs(now));
            prop_assert_eq!(before, at(&eager, now));
            prop_assert_eq!(lazy.previous_until(UnixMs(now)), eager.previous_until(UnixMs(now)));
            prop_assert!(eager.previous.as_ref().is_none_or(|previous| previous.until > UnixMs(now)));
            prop_assert!(eager.pending.as_ref().is_none_or(|pending| pending.activate_at > UnixMs(now)));
        }
    }
}
