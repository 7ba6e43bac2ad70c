//! The search: every candidate message is signed and compared, likeliest first, within a bound of bytes.
//!
//! A candidate picks one value of each axis. Candidates with one mistake come before those with two;
//! among equals the likely before the unlikely. What costs time is hashing the body, so the state of the
//! hash in front of the body's last bytes is kept: candidates that differ behind it (timestamps, newlines)
//! are then nearly free, even for a large body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::axis::{Axis, Variant, rank};
use super::key::{self, Key, KeyForm};
use super::mistake::Mistake;
use super::public::Public;
use super::recipe::{self, Mix, Piece, Recipe};
use super::scheme::Scheme;
use super::timestamp::{self, Unit};
use super::uri::{self, Address, Escapes};
use super::written::Written;
use super::{Case, body};
use crate::signature::hubspot::{self, v3_uri};
use crate::signature::standard_webhooks;
use crate::signature::{Digest, Received, same};

/// How many of the body's last bytes may differ between candidates that share the hash of the rest: a
/// newline or two.
const TAIL_BYTES: usize = 8;
/// A body shorter than this is hashed faster than it is found in the store of hashes.
const MIN_SHARED_BYTES: usize = 512;
/// Hashed for each signature beyond its message: padding, and the two blocks of an HMAC's keys.
const OVERHEAD_BYTES: u64 = 256;
/// Pairs of mistakes that are less likely than this together aren't tried.
const MAX_PAIR_COST: u32 = 5;

/// No value of this axis is used.
const UNUSED: u16 = u16::MAX;
const RECIPE: usize = 0;
const KEY: usize = 1;
const METHOD: usize = 2;
const URL: usize = 3;
const BODY: usize = 4;
const STAMP: usize = 5;

/// One value of each axis, by index.
type Pick = [u16; 6];

/// All that can be tried for one scheme.
pub(super) struct Space<'a> {
    recipes: Vec<Variant<Recipe>>,
    /// By [`KeyForm`].
    keys: [Axis<Key>; 2],
    methods: Axis<String>,
    urls: Axis<Address>,
    bodies: Axis<Cow<'a, [u8]>>,
    /// By [`Unit`].
    stamps: [Axis<String>; 2],
    id: &'a str,
    /// What the bodies with a true entry in `shares_stem` start with.
    stem: &'a [u8],
    shares_stem: Vec<bool>,
}

/// A part of a message with what it is.
pub(super) type Labelled<'a> = (Piece, Cow<'a, [u8]>);

/// A candidate that gives the signature.
pub(super) struct Hit {
    pick: Pick,
    /// Which of the given digests it is.
    pub(super) written: usize,
}

/// What a search did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effort {
    /// Candidates that were signed.
    pub(super) tried: u32,
    /// Bytes that went through the hash.
    pub(super) hashed_bytes: u64,
    /// Candidates that the bound left out.
    pub(super) left_out: u32,
}

/// The state of a hash.
#[derive(Clone)]
enum State {
    Plain(Sha256),
    Keyed(Box<Hmac<Sha256>>),
}

impl State {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(hash) => hash.update(bytes),
            Self::Keyed(mac) => mac.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Self::Plain(hash) => hash.finalize().into(),
            Self::Keyed(mac) => mac.finalize().into_bytes().into(),
        }
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("invariant: HMAC takes any length")
}

impl<'a> Space<'a> {
    /// Lays out the axes.
    pub(super) fn of(case: &Case<'a>, scheme: Scheme, public: &Public) -> Self {
        let received = case.received;
        let right = Recipe::of(scheme);
        let stem_bytes = received.body.len().saturating_sub(TAIL_BYTES);
        let stem = if stem_bytes < MIN_SHARED_BYTES { &[] } else { &received.body[..stem_bytes] };
        let bodies = body::axis(received.body);
        let shares_stem = bodies
            .variants()
            .iter()
            .map(|variant| !stem.is_empty() && variant.value.starts_with(stem))
            .collect();
        Self {
            recipes: recipe::all(scheme),
            keys: [KeyForm::Text, KeyForm::Whsec]
                .map(|form| key::axis(case.secrets, case.previous_secrets, form)),
            methods: methods(&received),
            urls: uri::axis(received.uri, public, right.escapes),
            bodies,
            stamps: [
                timestamp::axis(&received, standard_webhooks::TIMESTAMP_HEADER, Unit::Seconds),
                timestamp::axis(&received, hubspot::TIMESTAMP_HEADER, Unit::Milliseconds),
            ],
            id: received.header(standard_webhooks::ID_HEADER).unwrap_or_default(),
            stem,
            shares_stem,
        }
    }

    /// Looks for candidates that give one of the digests, up to `max_bytes` hashed. It goes on to two
    /// mistakes only where no candidate with fewer fits.
    pub(super) fn search(&self, given: &[Written], max_bytes: u64, effort: &mut Effort) -> Vec<Hit> {
        let mut store = BTreeMap::new();
        for mistakes in 0..=2 {
            let mut hits: Vec<Hit> = Vec::new();
            for (_, pick) in self.picks(mistakes) {
                let state = self.signed(&pick, max_bytes, &mut store, effort);
                let Some(digest) = state else { continue };
                if let Some(written) = given.iter().position(|written| same(&written.digest, &digest)) {
                    hits.push(Hit { pick, written });
                }
            }
            if !hits.is_empty() {
                return hits;
            }
        }
        Vec::new()
    }

    /// All candidates with a number of mistakes, likeliest first.
    fn picks(&self, mistakes: usize) -> Vec<(u32, Pick)> {
        let mut picks = Vec::new();
        for (at, recipe) in self.recipes.iter().enumerate() {
            let Some(left) = mistakes.checked_sub(recipe.mistakes.len()) else { continue };
            let choices = self.choices(&recipe.value);
            let mut pick = [UNUSED; 6];
            pick[RECIPE] = at as u16;
            spread(&choices, KEY, left, rank(&recipe.mistakes).1, &mut pick, &mut picks);
        }
        if mistakes > 1 {
            picks.retain(|(cost, _)| *cost <= MAX_PAIR_COST);
        }
        picks.sort_by_key(|(cost, _)| *cost);
        picks
    }

    /// For each axis behind the recipe: the indices and costs of the values with 0, 1 and 2 mistakes.
    fn choices(&self, recipe: &Recipe) -> [[Vec<(u16, u32)>; 3]; 5] {
        [
            choices(self.keys(recipe).variants(), recipe.uses_secret()),
            choices(self.methods.variants(), recipe.uses(Piece::Method)),
            choices(self.urls.variants(), recipe.uses(Piece::Url)),
            choices(self.bodies.variants(), recipe.uses(Piece::Body)),
            choices(self.stamps(recipe).variants(), recipe.uses(Piece::Timestamp)),
        ]
    }

    const fn keys(&self, recipe: &Recipe) -> &Axis<Key> {
        &self.keys[match recipe.key {
            KeyForm::Text => 0,
            KeyForm::Whsec => 1,
        }]
    }

    const fn stamps(&self, recipe: &Recipe) -> &Axis<String> {
        &self.stamps[match recipe.clock {
            Unit::Seconds => 0,
            Unit::Milliseconds => 1,
        }]
    }

    fn recipe(&self, pick: &Pick) -> &Recipe {
        &self.recipes[usize::from(pick[RECIPE])].value
    }

    fn key_of(&self, pick: &Pick) -> &[u8] {
        value(self.keys(self.recipe(pick)), pick[KEY]).map_or(&[], |key| &key.bytes)
    }

    /// The bytes of one part of a candidate's message.
    fn piece(&self, pick: &Pick, piece: Piece) -> Cow<'_, [u8]> {
        let recipe = self.recipe(pick);
        let text = match piece {
            Piece::Secret => return Cow::Borrowed(self.key_of(pick)),
            Piece::Body => {
                return Cow::Borrowed(value(&self.bodies, pick[BODY]).map_or(&[], |body| &body[..]));
            }
            Piece::Id => self.id,
            Piece::Text(text) => text,
            Piece::Method => value(&self.methods, pick[METHOD]).map_or("", String::as_str),
            Piece::Timestamp => value(self.stamps(recipe), pick[STAMP]).map_or("", String::as_str),
            Piece::Url => {
                let Some(address) = value(&self.urls, pick[URL]) else { return Cow::Borrowed(&[]) };
                let escapes =
                    if address.escapes == Escapes::AsTheScheme { recipe.escapes } else { address.escapes };
                if escapes != Escapes::V3 {
                    return Cow::Borrowed(address.text.as_bytes());
                }
                return match v3_uri(&address.text) {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                };
            }
        };
        Cow::Borrowed(text.as_bytes())
    }

    /// Signs a candidate; `None` where that would go beyond the bound.
    fn signed(
        &self,
        pick: &Pick,
        max_bytes: u64,
        store: &mut BTreeMap<Pick, State>,
        effort: &mut Effort,
    ) -> Option<Digest> {
        let recipe = self.recipe(pick);
        let shares = *self.shares_stem.get(usize::from(pick[BODY])).unwrap_or(&false);
        let before = self.before_body(pick);
        let known = if shares { store.get(&before).cloned() } else { None };
        let body_bytes = self.piece(pick, Piece::Body).len() as u64;
        let new_bytes = if known.is_some() { body_bytes - self.stem.len() as u64 } else { body_bytes };
        if effort.hashed_bytes + new_bytes + OVERHEAD_BYTES > max_bytes {
            effort.left_out += 1;
            return None;
        }
        effort.tried += 1;
        effort.hashed_bytes += OVERHEAD_BYTES;
        if recipe.mix == Mix::Swapped {
            let message: Vec<u8> =
                recipe.pieces.iter().flat_map(|&piece| self.piece(pick, piece).into_owned()).collect();
            effort.hashed_bytes += message.len() as u64;
            let mut mac = hmac(&message);
            mac.update(self.key_of(pick));
            return Some(mac.finalize().into_bytes().into());
        }
        let mut skip = known.is_some();
        let mut state = known.unwrap_or_else(|| self.start(recipe, pick));
        for &piece in &recipe.pieces {
            let bytes = self.piece(pick, piece);
            let mut rest = &bytes[..];
            if piece == Piece::Body && shares {
                let (stem, tail) = rest.split_at(self.stem.len());
                rest = tail;
                if !skip {
                    state.update(stem);
                    effort.hashed_bytes += stem.len() as u64;
                    store.insert(before, state.clone());
                }
                skip = false;
            }
            if !skip {
                state.update(rest);
                effort.hashed_bytes += rest.len() as u64;
            }
        }
        if recipe.mix == Mix::SecretLast {
            state.update(self.key_of(pick));
        }
        Some(state.finish())
    }

    fn start(&self, recipe: &Recipe, pick: &Pick) -> State {
        match recipe.mix {
            Mix::Hmac | Mix::Swapped => State::Keyed(Box::new(hmac(self.key_of(pick)))),
            Mix::SecretFirst => State::Plain(Sha256::new_with_prefix(self.key_of(pick))),
            Mix::SecretLast | Mix::NoSecret => State::Plain(Sha256::new()),
        }
    }

    /// The candidate as far as it is hashed before the body.
    fn before_body(&self, pick: &Pick) -> Pick {
        let recipe = self.recipe(pick);
        let mut before = [UNUSED; 6];
        before[RECIPE] = pick[RECIPE];
        if recipe.mix != Mix::SecretLast {
            before[KEY] = pick[KEY];
        }
        for &piece in &recipe.pieces {
            match piece {
                Piece::Body => break,
                Piece::Method => before[METHOD] = pick[METHOD],
                Piece::Url => before[URL] = pick[URL],
                Piece::Timestamp => before[STAMP] = pick[STAMP],
                Piece::Secret | Piece::Id | Piece::Text(_) => {}
            }
        }
        before
    }

    /// The mistakes of a hit, and the alternatives to them, those in how it is written left out.
    pub(super) fn mistakes(&self, hit: &Hit) -> (Vec<Mistake>, Vec<Mistake>) {
        let pick = &hit.pick;
        let recipe = self.recipe(pick);
        let (mut mistakes, mut also) = (Vec::new(), Vec::new());
        let mut add = |variant: Option<(&[Mistake], &[Mistake])>| {
            if let Some((one, other)) = variant {
                mistakes.extend_from_slice(one);
                also.extend_from_slice(other);
            }
        };
        add(self.recipes.get(usize::from(pick[RECIPE])).map(Variant::names));
        add(variant(self.keys(recipe), pick[KEY]).map(Variant::names));
        add(variant(&self.methods, pick[METHOD]).map(Variant::names));
        add(variant(&self.urls, pick[URL]).map(Variant::names));
        add(variant(&self.bodies, pick[BODY]).map(Variant::names));
        add(variant(self.stamps(recipe), pick[STAMP]).map(Variant::names));
        (mistakes, also)
    }

    /// The secret that a hit was signed with, by its index; none where none of the given ones was used.
    pub(super) fn secret(&self, hit: &Hit) -> Option<usize> {
        value(self.keys(self.recipe(&hit.pick)), hit.pick[KEY])?.secret
    }

    /// The key that a hit was signed with.
    pub(super) fn key(&self, hit: &Hit) -> &[u8] {
        self.key_of(&hit.pick)
    }

    /// How a hit was made, and its parts in the order in which they were signed.
    pub(super) fn message(&self, hit: &Hit) -> (&Recipe, Vec<Labelled<'_>>) {
        let recipe = self.recipe(&hit.pick);
        (recipe, recipe.pieces.iter().map(|&piece| (piece, self.piece(&hit.pick, piece))).collect())
    }
}

fn variant<T: Eq + core::hash::Hash>(axis: &Axis<T>, at: u16) -> Option<&Variant<T>> {
    axis.variants().get(usize::from(at))
}

fn value<T: Eq + core::hash::Hash>(axis: &Axis<T>, at: u16) -> Option<&T> {
    variant(axis, at).map(|variant| &variant.value)
}

fn methods(received: &Received<'_>) -> Axis<String> {
    let given = received.method;
    let mut axis = Axis::of(given.to_owned());
    let mut title = given.to_ascii_lowercase();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    for text in [given.to_ascii_uppercase(), given.to_ascii_lowercase(), title] {
        axis.add(text, &[Mistake::MethodCase]);
    }
    axis.add(String::new(), &[Mistake::MethodLeftOut]);
    for other in ["POST", "GET", "PUT", "PATCH", "DELETE"] {
        axis.add(other.to_owned(), &[Mistake::MethodOther]);
    }
    axis
}

fn choices<T>(variants: &[Variant<T>], used: bool) -> [Vec<(u16, u32)>; 3] {
    let mut by_mistakes = [Vec::new(), Vec::new(), Vec::new()];
    if !used {
        by_mistakes[0].push((UNUSED, 0));
        return by_mistakes;
    }
    for (at, variant) in variants.iter().enumerate().take(usize::from(UNUSED)) {
        if let Some(list) = by_mistakes.get_mut(variant.mistakes.len()) {
            list.push((at as u16, rank(&variant.mistakes).1));
        }
    }
    by_mistakes
}

/// Picks values of the axes from `at` on that have `left` mistakes together.
fn spread(
    choices: &[[Vec<(u16, u32)>; 3]; 5],
    at: usize,
    left: usize,
    cost: u32,
    pick: &mut Pick,
    picks: &mut Vec<(u32, Pick)>,
) {
    let Some(by_mistakes) = choices.get(at - KEY) else {
        if left == 0 {
            picks.push((cost, *pick));
        }
        return;
    };
    for (mistakes, list) in by_mistakes.iter().enumerate().take(left + 1) {
        for &(index, more) in list {
            pick[at] = index;
            spread(choices, at + 1, left - mistakes, cost + more, pick, picks);
        }
    }
}
