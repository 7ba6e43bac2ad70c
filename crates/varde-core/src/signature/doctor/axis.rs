//! One dimension of the search: the values that one part of the signed message may have had, each with the
//! mistakes that lead to it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::mistake::Mistake;

/// One value, and how it comes about.
#[derive(Debug, Clone)]
pub(super) struct Variant<T> {
    pub(super) value: T,
    /// What leads to it from the request as given; none for the value as given.
    pub(super) mistakes: Vec<Mistake>,
    /// Other mistakes that lead to the same value here.
    pub(super) also: Vec<Mistake>,
}

impl<T> Variant<T> {
    /// Fewer mistakes before more, likely before unlikely.
    fn rank(&self) -> (usize, u32) {
        rank(&self.mistakes)
    }

    /// The mistakes, and the alternatives to them.
    pub(super) fn names(&self) -> (&[Mistake], &[Mistake]) {
        (&self.mistakes, &self.also)
    }
}

/// What orders explanations: how many mistakes they need, then how unlikely those are.
pub(super) fn rank(mistakes: &[Mistake]) -> (usize, u32) {
    (mistakes.len(), mistakes.iter().map(|mistake| mistake.cost()).sum())
}

/// The different values of one part, each once.
#[derive(Debug)]
pub(super) struct Axis<T> {
    variants: Vec<Variant<T>>,
    by_hash: BTreeMap<u64, usize>,
}

impl<T: Eq + Hash> Axis<T> {
    /// An axis with nothing on it.
    pub(super) const fn new() -> Self {
        Self { variants: Vec::new(), by_hash: BTreeMap::new() }
    }

    /// An axis with the value as it was given.
    pub(super) fn of(value: T) -> Self {
        let mut axis = Self::new();
        axis.add(value, &[]);
        axis
    }

    /// Adds a value that `mistakes` lead to. Of several ways to one value the likeliest is kept, the
    /// others of its length as alternatives.
    pub(super) fn add(&mut self, value: T, mistakes: &[Mistake]) {
        self.add_variant(Variant { value, mistakes: mistakes.to_vec(), also: Vec::new() });
    }

    /// Like [`Axis::add`], with alternatives known beforehand.
    pub(super) fn add_variant(&mut self, new: Variant<T>) {
        let mut hasher = DefaultHasher::new();
        new.value.hash(&mut hasher);
        let hash = hasher.finish();
        // Two values with one hash are kept apart; the second just isn't found again.
        match self.by_hash.get(&hash).and_then(|&at| self.variants.get_mut(at)) {
            Some(known) if known.value == new.value => merge(known, new),
            _ => {
                self.by_hash.entry(hash).or_insert(self.variants.len());
                self.variants.push(new);
            }
        }
    }

    pub(super) fn variants(&self) -> &[Variant<T>] {
        &self.variants
    }
}

fn merge<T>(known: &mut Variant<T>, new: Variant<T>) {
    if new.mistakes.len() > known.mistakes.len() {
        return;
    }
    let fewer = new.mistakes.len() < known.mistakes.len();
    let (best, other) = if new.rank() < known.rank() {
        let value_of = core::mem::replace(&mut known.mistakes, new.mistakes);
        (&known.mistakes, if fewer { Vec::new() } else { value_of })
    } else {
        (&known.mistakes, new.mistakes)
    };
    if fewer {
        known.also.clear();
    }
    for mistake in other.into_iter().chain(new.also) {
        if !best.contains(&mistake) && !known.also.contains(&mistake) {
            known.also.push(mistake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Mistake::{BodyJsonAscii, BodyJsonPhp, BodyJsonSorted, BodyLeftOut, BodyTrimmed};

    #[test]
    fn the_likeliest_way_to_a_value_is_kept() {
        let mut axis = Axis::of("a");
        axis.add("a", &[BodyTrimmed]);
        axis.add("b", &[BodyJsonAscii]);
        axis.add("b", &[BodyJsonPhp]);
        axis.add("b", &[BodyJsonAscii]);
        axis.add("b", &[BodyLeftOut, BodyTrimmed]);
        axis.add("c", &[BodyLeftOut, BodyTrimmed]);
        axis.add("c", &[BodyJsonSorted]);
        let found: Vec<_> = axis
            .variants()
            .iter()
            .map(|variant| (variant.value, &variant.mistakes[..], &variant.also[..]))
            .collect();
        assert_eq!(
            found,
            [("a", &[][..], &[][..]), ("b", &[BodyJsonPhp], &[BodyJsonAscii]), ("c", &[BodyJsonSorted], &[]),]
        );
    }

    #[test]
    fn alternatives_come_along() {
        let mut axis = Axis::new();
        axis.add_variant(Variant { value: 1, mistakes: vec![BodyTrimmed], also: vec![BodyJsonAscii] });
        axis.add_variant(Variant { value: 1, mistakes: vec![BodyLeftOut], also: vec![BodyTrimmed] });
        let variant = &axis.variants()[0];
        assert_eq!(variant.mistakes, [BodyLeftOut]);
        assert_eq!(variant.also, [BodyJsonAscii, BodyTrimmed]);
    }

    #[test]
    fn rank_counts_before_it_weighs() {
        assert!(rank(&[]) < rank(&[BodyLeftOut]));
        assert!(rank(&[BodyLeftOut]) < rank(&[BodyTrimmed]));
        assert!(rank(&[Mistake::BodyUtf16]) < rank(&[BodyLeftOut, BodyLeftOut]));
    }
}
