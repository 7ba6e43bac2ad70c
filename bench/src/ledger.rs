//! Every enrollment that was made and every webhook that arrived, by number.
//!
//! Numbers are in the records, so that one can be found in whatever body they end up in.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Digits of a number in a body.
const DIGITS: usize = 9;
/// What stands before it there.
const MARK: &[u8] = b"\"n\":\"";
/// The mark is among the first bytes of every body.
const LOOK_AT: usize = 512;
/// Mistakes that are told one by one; more of them are only counted.
const TOLD_MISTAKES: usize = 5;

/// Shared by the drivers and the sink, which run in one thread.
#[derive(Clone, Default)]
pub struct Ledger {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    arrived: usize,
    /// Whose webhook came with an id: no two deliveries may share one.
    ids: HashMap<String, u32>,
    doubled: u64,
    mistakes: Vec<String>,
    mistaken: u64,
    failed: HashSet<u32>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    sent: Option<Instant>,
    arrived: Option<Instant>,
}

impl Ledger {
    /// Reserves numbers for so many enrollments.
    pub fn issue(&self, many: u32) -> Range<u32> {
        let entries = &mut self.inner.borrow_mut().entries;
        let first = entries.len() as u32;
        entries.resize(entries.len() + many as usize, Entry::default());
        first..first + many
    }

    /// The call that enrolls these goes out now.
    pub fn sent(&self, numbers: Range<u32>, at: Instant) {
        let entries = &mut self.inner.borrow_mut().entries;
        for entry in &mut entries[numbers.start as usize..numbers.end as usize] {
            entry.sent = Some(at);
        }
    }

    /// A webhook has arrived, with an id that no other delivery may have, where it has one.
    pub fn arrived(&self, number: u32, id: Option<&str>, at: Instant) {
        let inner = &mut *self.inner.borrow_mut();
        let Some(entry) = inner.entries.get_mut(number as usize) else {
            return inner.mistake(format!("a webhook for {number}, which was never enrolled"));
        };
        // An enrollment of two actions has two webhooks with its number: the first one is its arrival.
        if entry.arrived.is_none() {
            entry.arrived = Some(at);
            inner.arrived += 1;
        }
        let Some(id) = id else { return };
        let Some(owner) = inner.ids.insert(id.to_owned(), number) else { return };
        if owner == number {
            inner.doubled += 1;
        } else {
            inner.mistake(format!("the webhook-id {id} came for {owner} and for {number}"));
        }
    }

    /// A webhook has come that isn't taken; whether it is the first one of its record.
    pub fn failed(&self, number: u32) -> bool {
        self.inner.borrow_mut().failed.insert(number)
    }

    /// Records of which a webhook wasn't taken.
    pub fn failed_so_far(&self) -> usize {
        self.inner.borrow().failed.len()
    }

    /// Something arrived that shouldn't have.
    pub fn mistake(&self, what: String) {
        self.inner.borrow_mut().mistake(what);
    }

    /// The mistakes so far, with the number of those that aren't told.
    pub fn mistakes(&self) -> (Vec<String>, u64) {
        let inner = self.inner.borrow();
        (inner.mistakes.clone(), inner.mistaken)
    }

    /// Varde's webhooks that have arrived, and how often one came again.
    pub fn webhooks(&self) -> (usize, u64) {
        let inner = self.inner.borrow();
        (inner.ids.len(), inner.doubled)
    }

    /// How many of all that were enrolled haven't arrived.
    pub fn outstanding(&self) -> usize {
        let inner = self.inner.borrow();
        inner.entries.len() - inner.arrived
    }

    /// How many of these have arrived.
    pub fn arrived_of(&self, numbers: &[u32]) -> usize {
        self.arrivals(numbers).len()
    }

    /// When those arrived that have.
    pub fn arrivals(&self, numbers: &[u32]) -> Vec<Instant> {
        let entries = &self.inner.borrow().entries;
        numbers.iter().filter_map(|number| entries[*number as usize].arrived).collect()
    }

    /// From the call to the arrival, of those that have arrived.
    pub fn ways(&self, numbers: &[u32]) -> Vec<Duration> {
        let entries = &self.inner.borrow().entries;
        let way = |entry: &Entry| Some(entry.arrived?.duration_since(entry.sent?));
        numbers.iter().filter_map(|number| way(&entries[*number as usize])).collect()
    }
}

impl Inner {
    fn mistake(&mut self, what: String) {
        self.mistaken += 1;
        if self.mistakes.len() < TOLD_MISTAKES {
            self.mistakes.push(what);
        }
    }
}

/// A record's properties as JSON, with the number and a filling; about as long as asked for.
pub fn properties(number: u32, bytes: usize) -> String {
    let filling = "x".repeat(bytes.saturating_sub(MARK.len() + DIGITS + 12));
    format!("{{\"n\":\"{number:0DIGITS$}\",\"pad\":\"{filling}\"}}")
}

/// The number in a body.
pub fn number_in(body: &[u8]) -> Option<u32> {
    let head = &body[..body.len().min(LOOK_AT)];
    let at = head.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    std::str::from_utf8(body.get(at..at + DIGITS)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_number_in_the_body_that_holds_it() {
        for number in [0, 7, 123_456_789] {
            let made = properties(number, 1_000);
            assert!((980..=1_000).contains(&made.len()), "{}", made.len());
            assert_eq!(number_in(made.as_bytes()), Some(number));
            let wrapped = format!("{{\"record\":{{\"id\":\"r{number}\",\"properties\":{made}}}}}");
            assert_eq!(number_in(wrapped.as_bytes()), Some(number));
        }
        for none in ["", "{}", "{\"n\":\"12\"}", "{\"n\":\"12345678x\"}"] {
            assert_eq!(number_in(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn tells_doubles_strangers_and_shared_ids() {
        let ledger = Ledger::default();
        let numbers = ledger.issue(3);
        let now = Instant::now();
        ledger.sent(numbers.clone(), now);
        let numbers: Vec<u32> = numbers.collect();
        ledger.arrived(0, Some("a"), now + Duration::from_millis(5));
        ledger.arrived(0, Some("a"), now + Duration::from_millis(9));
        assert_eq!((ledger.arrived_of(&numbers), ledger.outstanding()), (1, 2));
        assert_eq!(ledger.webhooks(), (1, 1));
        ledger.arrived(0, Some("a later action's"), now + Duration::from_millis(9));
        assert_eq!(ledger.webhooks(), (2, 1));
        assert_eq!(ledger.ways(&numbers), [Duration::from_millis(5)]);
        assert_eq!(ledger.mistakes().1, 0);
        ledger.arrived(1, Some("a"), now);
        ledger.arrived(3, Some("b"), now);
        let (told, all) = ledger.mistakes();
        assert_eq!((told.len(), all), (2, 2));
        assert!(told[0].contains("0 and for 1") && told[1].contains("never enrolled"), "{told:?}");
    }
}
