//! What an isolate remembers of the registry, and for how long: decided here, with the time as an argument.
//!
//! The registry counts its changes. Whatever was confirmed at some revision is confirmed again by any later
//! answer that was given at the same one, so an isolate asks once in a while and not once for each workflow.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::rc::Rc;

use varde_core::time::{MINUTE_MS, SECOND_MS, UnixMs};

/// How long something is used without asking: an edit is in force everywhere within 5 s, and the question
/// takes its time, too.
pub const FRESH_MS: u64 = 4 * SECOND_MS;
/// How long something is used that can't be confirmed, because the registry can't be reached.
pub const STALE_MS: u64 = 5 * MINUTE_MS;
/// After a question that failed, how often one is asked again for what can still be used. The request that
/// asks may wait for nothing; the others go on.
const PAUSE_AFTER_FAILURE_MS: u64 = SECOND_MS;

/// What counts for all that an isolate remembers.
#[derive(Debug)]
pub struct Confirmations {
    /// The highest revision of an answer, and when the latest such question was asked.
    latest: Option<(u64, UnixMs)>,
    /// When a question last failed.
    failed_at: Option<UnixMs>,
    /// Counts the times something was forgotten: an answer to an older question isn't remembered.
    generation: u64,
}

impl Confirmations {
    /// Nothing is known yet.
    pub const fn new() -> Self {
        Self { latest: None, failed_at: None, generation: 0 }
    }

    /// A question failed.
    pub fn failed(&mut self, now: UnixMs) {
        self.failed_at = Some(now);
    }

    /// The caller has changed something: what is on its way may be from before.
    pub fn forget(&mut self) {
        self.generation += 1;
    }

    fn answered(&mut self, as_of: u64, asked_at: UnixMs) {
        self.failed_at = None;
        if self.latest.is_none_or(|latest| latest < (as_of, asked_at)) {
            self.latest = Some((as_of, asked_at));
        }
    }

    /// Whether to go on without asking, because the registry didn't answer lately. Where the answer is no,
    /// the caller asks on behalf of those that come within the next second.
    fn go_on_without(&mut self, now: UnixMs) -> bool {
        let Some(failed_at) = self.failed_at else { return false };
        let go_on = is_within(PAUSE_AFTER_FAILURE_MS, failed_at, now);
        if !go_on {
            self.failed_at = Some(now);
        }
        go_on
    }
}

/// Things of one kind, by key; bounded in number and in weight.
#[derive(Debug)]
pub struct Shelf<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    max_entries: usize,
    max_weight: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: Rc<V>,
    /// The registry's revision at the thing's last change.
    changed_at: u64,
    /// The registry's revision when it was last confirmed.
    as_of: u64,
    /// When that question was asked.
    confirmed_at: UnixMs,
    weight: usize,
    last_use: u64,
}

/// What is known about a thing.
#[derive(Debug)]
pub enum Look<V> {
    /// It can be used.
    Fresh(Rc<V>),
    /// The registry must be asked.
    Ask(Question<V>),
}

/// A question to the registry.
#[derive(Debug)]
pub struct Question<V> {
    /// What there was, and its last change.
    kept: Option<(Rc<V>, u64)>,
    usable: bool,
    generation: u64,
    asked_at: UnixMs,
}

impl<V> Question<V> {
    /// The change that the caller knows.
    pub fn known(&self) -> Option<u64> {
        self.kept.as_ref().map(|(_, changed_at)| *changed_at)
    }

    /// What to go on with if there is no answer.
    pub fn fallback(self) -> Option<Rc<V>> {
        self.kept.filter(|_| self.usable).map(|(value, _)| value)
    }
}

impl<K: Ord, V> Shelf<K, V> {
    /// An empty one. It holds at least one thing, whatever its weight.
    pub const fn new(max_entries: usize, max_weight: usize) -> Self {
        Self { entries: BTreeMap::new(), max_entries, max_weight, uses: 0 }
    }

    /// Looks a thing up that counts as fresh for `fresh_ms`.
    pub fn look_up<Q: Ord + ?Sized>(
        &mut self,
        confirmations: &mut Confirmations,
        key: &Q,
        fresh_ms: u64,
        now: UnixMs,
    ) -> Look<V>
    where
        K: Borrow<Q>,
    {
        let generation = confirmations.generation;
        let question = |kept, usable| Look::Ask(Question { kept, usable, generation, asked_at: now });
        let Some(entry) = self.entries.get_mut(key) else { return question(None, false) };
        self.uses += 1;
        entry.last_use = self.uses;
        if let Some((as_of, asked_at)) = confirmations.latest
            && as_of == entry.as_of
        {
            entry.confirmed_at = entry.confirmed_at.max(asked_at);
        }
        let usable = is_within(STALE_MS, entry.confirmed_at, now);
        if is_within(fresh_ms, entry.confirmed_at, now) || (usable && confirmations.go_on_without(now)) {
            Look::Fresh(Rc::clone(&entry.value))
        } else {
            question(Some((Rc::clone(&entry.value), entry.changed_at)), usable)
        }
    }

    /// The answer is that nothing has changed. `None` if the question knew nothing.
    pub fn confirm<Q: Ord + ?Sized>(
        &mut self,
        confirmations: &mut Confirmations,
        key: &Q,
        question: Question<V>,
        as_of: u64,
    ) -> Option<Rc<V>>
    where
        K: Borrow<Q>,
    {
        confirmations.answered(as_of, question.asked_at);
        let (value, changed_at) = question.kept?;
        let entry = self.entries.get_mut(key).filter(|entry| entry.changed_at == changed_at);
        if let Some(entry) = entry
            && entry.as_of <= as_of
        {
            entry.as_of = as_of;
            entry.confirmed_at = entry.confirmed_at.max(question.asked_at);
        }
        Some(value)
    }

    /// The answer is this thing. It is remembered, unless something newer is, or was forgotten since.
    pub fn keep(
        &mut self,
        confirmations: &mut Confirmations,
        key: K,
        question: &Question<V>,
        answer: Answer<V>,
    ) -> Rc<V> {
        let Answer { value, changed_at, as_of, weight } = answer;
        let value = Rc::new(value);
        if question.generation != confirmations.generation {
            return value;
        }
        confirmations.answered(as_of, question.asked_at);
        if self.entries.get(&key).is_some_and(|entry| entry.as_of > as_of) {
            return value;
        }
        self.uses += 1;
        let entry = Entry {
            value: Rc::clone(&value),
            changed_at,
            as_of,
            confirmed_at: question.asked_at,
            weight,
            last_use: self.uses,
        };
        self.entries.insert(key, entry);
        self.make_room();
        value
    }

    /// Forgets a thing.
    pub fn forget<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
    }

    /// Forgets everything.
    pub fn forget_all(&mut self) {
        self.entries.clear();
    }

    /// Drops what was used longest ago, until the rest fits.
    fn make_room(&mut self) {
        let mut weight: usize = self.entries.values().map(|entry| entry.weight).sum();
        while self.entries.len() > 1 && (self.entries.len() > self.max_entries || weight > self.max_weight) {
            let oldest = self.entries.values().map(|entry| entry.last_use).min().unwrap_or_default();
            self.entries.retain(|_, entry| {
                let stays = entry.last_use != oldest;
                weight -= if stays { 0 } else { entry.weight };
                stays
            });
        }
    }
}

/// A thing as the registry gave it.
#[derive(Debug)]
pub struct Answer<V> {
    /// It.
    pub value: V,
    /// The registry's revision at its last change.
    pub changed_at: u64,
    /// The registry's revision when it answered.
    pub as_of: u64,
    /// How much memory it takes, about.
    pub weight: usize,
}

/// Whether `now` is at most `ms` after `at`. A clock that went backwards says no: better asked once more.
fn is_within(ms: u64, at: UnixMs, now: UnixMs) -> bool {
    at <= now && now.since_ms(at) <= ms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An isolate with one shelf, told as a story.
    struct Story {
        confirmations: Confirmations,
        shelf: Shelf<String, u32>,
    }

    impl Story {
        fn new() -> Self {
            Self { confirmations: Confirmations::new(), shelf: Shelf::new(3, 100) }
        }

        fn look(&mut self, key: &str, now: u64) -> Look<u32> {
            self.shelf.look_up(&mut self.confirmations, key, FRESH_MS, UnixMs(now))
        }

        #[track_caller]
        fn ask(&mut self, key: &str, now: u64) -> Question<u32> {
            match self.look(key, now) {
                Look::Ask(question) => question,
                Look::Fresh(value) => panic!("{value} is fresh"),
            }
        }

        #[track_caller]
        fn fresh(&mut self, key: &str, now: u64) -> u32 {
            match self.look(key, now) {
                Look::Fresh(value) => *value,
                Look::Ask(question) => panic!("asks with {:?}", question.kept),
            }
        }

        fn keep(
            &mut self,
            key: &str,
            question: &Question<u32>,
            value: u32,
            changed_at: u64,
            as_of: u64,
        ) -> u32 {
            let answer = Answer { value, changed_at, as_of, weight: 10 };
            *self.shelf.keep(&mut self.confirmations, key.to_owned(), question, answer)
        }

        /// Asks, and keeps the answer.
        fn fill(&mut self, key: &str, now: u64, value: u32, changed_at: u64, as_of: u64) {
            let question = self.ask(key, now);
            self.keep(key, &question, value, changed_at, as_of);
        }

        fn confirm(&mut self, key: &str, question: Question<u32>, as_of: u64) -> Option<u32> {
            self.shelf.confirm(&mut self.confirmations, key, question, as_of).map(|value| *value)
        }

        fn forget(&mut self, key: &str) {
            self.confirmations.forget();
            self.shelf.forget(key);
        }
    }

    #[test]
    fn fresh_for_four_seconds_then_asks_with_what_it_knows() {
        let mut story = Story::new();
        assert_eq!(story.ask("a", 1_000).known(), None);
        story.fill("a", 1_000, 7, 3, 5);
        assert_eq!(story.fresh("a", 1_000 + FRESH_MS), 7);
        let question = story.ask("a", 1_001 + FRESH_MS);
        assert_eq!(question.known(), Some(3));
        assert_eq!(story.confirm("a", question, 5), Some(7));
        assert_eq!(story.fresh("a", 1_001 + 2 * FRESH_MS), 7);
    }

    #[test]
    fn freshness_counts_from_the_question_not_from_the_answer() {
        let mut story = Story::new();
        let question = story.ask("a", 1_000);
        // The answer takes 3 s; the registry may have changed right after it looked.
        story.keep("a", &question, 7, 3, 5);
        assert_eq!(story.ask("a", 1_001 + FRESH_MS).known(), Some(3));
    }

    #[test]
    fn one_answer_confirms_all_that_was_known_at_the_same_revision() {
        let mut story = Story::new();
        story.fill("a", 1_000, 7, 3, 5);
        story.fill("b", 1_000, 8, 4, 5);
        story.fill("c", 1_000, 9, 5, 5);
        let question = story.ask("a", 6_000);
        story.confirm("a", question, 5);
        assert_eq!(story.fresh("b", 6_000), 8);
        // The registry has changed: what that means for the others isn't known.
        let question = story.ask("a", 11_000);
        story.confirm("a", question, 6);
        assert_eq!(story.fresh("a", 11_000), 7);
        assert_eq!(story.ask("b", 11_000).known(), Some(4));
        let question = story.ask("b", 11_000);
        assert_eq!(story.confirm("b", question, 6), Some(8));
        assert_eq!(story.fresh("b", 11_000), 8);
        assert_eq!(story.ask("c", 11_000).known(), Some(5));
    }

    #[test]
    fn goes_on_for_five_minutes_without_the_registry() {
        let mut story = Story::new();
        story.fill("a", 0, 7, 3, 5);
        let question = story.ask("a", 10_000);
        story.confirmations.failed(UnixMs(10_500));
        assert_eq!(question.fallback().as_deref(), Some(&7));
        // One question a second, so that not every request waits for what doesn't come.
        assert_eq!(story.fresh("a", 11_500), 7);
        assert!(story.ask("a", 11_501).fallback().is_some());
        assert_eq!(story.fresh("a", 11_502), 7);
        assert_eq!(story.fresh("a", 12_501), 7);
        assert!(story.ask("a", STALE_MS).fallback().is_some());

        let too_old = story.ask("a", STALE_MS + 1);
        story.confirmations.failed(UnixMs(STALE_MS + 1));
        assert_eq!(too_old.known(), Some(3), "the registry may still say that nothing has changed");
        assert_eq!(too_old.fallback(), None);
        assert!(story.ask("a", STALE_MS + 2).fallback().is_none(), "not fresh because it just failed");
    }

    #[test]
    fn an_answer_ends_the_pause_after_a_failure() {
        let mut story = Story::new();
        story.fill("a", 0, 7, 3, 5);
        story.confirmations.failed(UnixMs(10_000));
        assert_eq!(story.fresh("a", 10_100), 7);
        story.fill("b", 10_200, 8, 4, 6);
        assert_eq!(story.ask("a", 10_300).known(), Some(3));
    }

    #[test]
    fn cold_is_not_fresh_because_something_failed() {
        let mut story = Story::new();
        story.confirmations.failed(UnixMs(1_000));
        let question = story.ask("a", 1_000);
        assert!(question.known().is_none() && question.fallback().is_none());
    }

    #[test]
    fn an_answer_from_before_a_change_of_ones_own_is_used_but_not_kept() {
        let mut story = Story::new();
        let question = story.ask("a", 1_000);
        story.forget("a");
        assert_eq!(story.keep("a", &question, 7, 3, 5), 7);
        assert_eq!(story.ask("a", 1_000).known(), None);

        story.fill("a", 1_000, 8, 6, 6);
        let question = story.ask("a", 6_000);
        story.forget("a");
        assert_eq!(story.confirm("a", question, 6), Some(8));
        assert_eq!(story.ask("a", 6_000).known(), None);
    }

    #[test]
    fn a_late_answer_doesn_t_displace_a_newer_one() {
        let mut story = Story::new();
        let (slow, quick) = (story.ask("a", 1_000), story.ask("a", 1_100));
        story.keep("a", &quick, 8, 6, 6);
        assert_eq!(story.keep("a", &slow, 7, 3, 5), 7);
        assert_eq!(story.fresh("a", 1_200), 8);

        let (slow, quick) = (story.ask("a", 6_000), story.ask("a", 6_100));
        story.keep("a", &quick, 9, 7, 7);
        assert_eq!(story.confirm("a", slow, 6), Some(8));
        assert_eq!(story.fresh("a", 6_200), 9);
    }

    #[test]
    fn a_clock_that_goes_backwards_makes_nothing_fresh() {
        let mut story = Story::new();
        story.fill("a", 1_000_000, 7, 3, 5);
        let question = story.ask("a", 999_999);
        assert_eq!(question.known(), Some(3));
        assert_eq!(story.confirm("a", question, 5), Some(7));
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let mut story = Story::new();
        for (now, key) in ["a", "b", "c"].into_iter().enumerate() {
            story.fill(key, now as u64, now as u32, 1, 1);
        }
        story.fresh("a", 10);
        story.fill("d", 10, 3, 1, 1);
        assert_eq!(story.ask("b", 10).known(), None);
        assert_eq!((story.fresh("a", 10), story.fresh("c", 10), story.fresh("d", 10)), (0, 2, 3));

        let heavy = |weight| Answer { value: 9, changed_at: 1, as_of: 1, weight };
        let question = story.ask("e", 10);
        story.shelf.keep(&mut story.confirmations, "e".to_owned(), &question, heavy(85));
        assert_eq!((story.fresh("d", 10), story.fresh("e", 10)), (3, 9), "10 + 85 fit");
        assert!(matches!(story.look("a", 10), Look::Ask(_)) && matches!(story.look("c", 10), Look::Ask(_)));

        let question = story.ask("f", 10);
        story.shelf.keep(&mut story.confirmations, "f".to_owned(), &question, heavy(1_000));
        assert_eq!(story.fresh("f", 10), 9, "the last one stays, whatever its weight");
        assert_eq!(story.shelf.entries.len(), 1);
    }
}
