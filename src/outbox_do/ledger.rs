//! The accounting of one outbox, held in memory and rebuilt from rows: how many deliveries of each action
//! are where. What has ended is stored with every settle; what is open is counted from the index at start.

mod outcomes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use varde_core::breaker::{Breaker, Open};
use varde_core::controls::Controls;
use varde_core::delivery::{AttemptEnd, State};
use varde_core::outcome::Verdict;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

pub use self::outcomes::{DURATION_BUCKETS_MS, Outcomes};
use super::LEASES_PER_ACTION;

/// Where an open delivery waits; the first column of the index `deliveries_open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Waits for its time.
    Scheduled = 0,
    /// Somebody has the lease.
    InFlight = 1,
    /// Waits for its action to be resumed.
    Held = 2,
    /// Waits for an earlier delivery of its record.
    Blocked = 3,
    /// Can't be read, and waits for a version that can, or for a person.
    SetAside = 4,
}

impl Lane {
    /// The lane of a state; `None` when it has ended.
    pub const fn of(state: &State) -> Option<Self> {
        match state {
            State::Scheduled { .. } => Some(Self::Scheduled),
            State::InFlight { .. } => Some(Self::InFlight),
            State::Held { .. } => Some(Self::Held),
            State::Blocked { .. } => Some(Self::Blocked),
            State::Delivered { .. }
            | State::Rejected { .. }
            | State::Exhausted { .. }
            | State::Canceled { .. } => None,
        }
    }
}

/// The totals of an action, as stored with every settle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Deliveries that came in. Counted by itself, so that the identity can be checked against it; stored
    /// when something ends, so at a start the rows may tell of more.
    pub accepted: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that were refused for good.
    pub rejected: u64,
    /// Deliveries whose window is used up.
    pub exhausted: u64,
    /// Deliveries that a person ended.
    pub canceled: u64,
    /// Attempts by verdict.
    pub attempts: Attempts,
    /// Where its circuit breaker stands.
    #[serde(default, skip_serializing_if = "Breaker::is_default")]
    pub breaker: Breaker,
    /// What its attempts met, and how long they took.
    #[serde(default)]
    pub outcomes: Outcomes,
}

/// Ended attempts by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The endpoint had it.
    pub delivered: u64,
    /// To be made again.
    pub retry: u64,
    /// Refused for good.
    pub reject: u64,
}

/// One action's part of the ledger.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What came in and what has ended.
    pub totals: Totals,
    /// Deliveries that wait for their time.
    pub scheduled: u64,
    /// Leases that are out.
    pub in_flight: u64,
    /// Deliveries that wait for a resume.
    pub held: u64,
    /// Deliveries that wait for an earlier one of their record.
    pub blocked: u64,
    /// Deliveries whose rows can't be read.
    pub set_aside: u64,
    /// No scheduled delivery is due before this; `None` when that isn't known and the index must be asked.
    pub earliest_due: Option<UnixMs>,
}

impl Account {
    /// Takes in, at a start, what was accepted after the totals were last stored.
    pub fn catch_up(&mut self) {
        let Totals { delivered, rejected, exhausted, canceled, .. } = self.totals;
        self.totals.accepted =
            self.totals.accepted.max(delivered + rejected + exhausted + canceled + self.open());
    }

    /// Deliveries that have something to do.
    pub const fn open(&self) -> u64 {
        self.scheduled + self.in_flight + self.held + self.blocked + self.set_aside
    }

    /// How many leases may be given out now: as many as the cap leaves, or the breaker.
    pub fn room(&self, now: UnixMs) -> u64 {
        self.totals.breaker.room(self.in_flight, LEASES_PER_ACTION, now)
    }

    /// How many are in a lane.
    pub const fn in_lane(&self, lane: Lane) -> u64 {
        match lane {
            Lane::Scheduled => self.scheduled,
            Lane::InFlight => self.in_flight,
            Lane::Held => self.held,
            Lane::Blocked => self.blocked,
            Lane::SetAside => self.set_aside,
        }
    }

    const fn lane(&mut self, lane: Lane) -> &mut u64 {
        match lane {
            Lane::Scheduled => &mut self.scheduled,
            Lane::InFlight => &mut self.in_flight,
            Lane::Held => &mut self.held,
            Lane::Blocked => &mut self.blocked,
            Lane::SetAside => &mut self.set_aside,
        }
    }
}

/// All accounts of the outbox.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By action.
    pub accounts: BTreeMap<Slug, Account>,
}

impl Ledger {
    /// The account of an action, opened at its first use.
    pub fn account(&mut self, action: &Slug) -> &mut Account {
        if !self.accounts.contains_key(action) {
            self.accounts.insert(
                action.clone(),
                Account { earliest_due: Some(UnixMs(u64::MAX)), ..Account::default() },
            );
        }
        self.accounts.get_mut(action).expect("was just inserted")
    }

    /// A delivery came in, or went from one state to the next.
    pub fn moved(&mut self, action: &Slug, from: Option<&State>, to: &State) {
        let account = self.account(action);
        if from.is_none() {
            account.totals.accepted += 1;
        }
        if let Some(lane) = from.and_then(Lane::of) {
            let count = account.lane(lane);
            *count = count.saturating_sub(1);
        }
        match to {
            State::Scheduled { due, .. } => {
                account.scheduled += 1;
                account.earliest_due = account.earliest_due.map(|known| known.min(*due));
            }
            State::InFlight { .. } => account.in_flight += 1,
            State::Held { .. } => account.held += 1,
            State::Blocked { .. } => account.blocked += 1,
            State::Delivered { .. } => account.totals.delivered += 1,
            State::Rejected { .. } => account.totals.rejected += 1,
            State::Exhausted { .. } => account.totals.exhausted += 1,
            State::Canceled { .. } => account.totals.canceled += 1,
        }
    }

    /// A delivery went from one lane to another and stays what it is: it was set aside, or taken up again.
    pub fn changed_lane(&mut self, action: &Slug, from: Lane, to: Lane) {
        let account = self.account(action);
        let count = account.lane(from);
        *count = count.saturating_sub(1);
        *account.lane(to) += 1;
    }

    /// An attempt ended.
    pub fn attempted(&mut self, action: &Slug, end: &AttemptEnd) {
        let totals = &mut self.account(action).totals;
        totals.outcomes.count(&end.outcome, end.duration_ms);
        let attempts = &mut totals.attempts;
        match end.verdict {
            Verdict::Delivered => attempts.delivered += 1,
            Verdict::Retry => attempts.retry += 1,
            Verdict::Reject => attempts.reject += 1,
        }
    }

    /// Open deliveries of all actions.
    pub fn open(&self) -> u64 {
        self.accounts.values().map(Account::open).sum()
    }

    /// The numbers for monitoring; `oldest_due` of each action is the caller's.
    pub fn metrics(&self) -> BTreeMap<Slug, ActionMetrics> {
        let metrics = |account: &Account| ActionMetrics {
            counts: Counts::of(account),
            outcomes: account.totals.outcomes,
            oldest_due: None,
            open_breakers: u64::from(account.totals.breaker.open().is_some()),
        };
        self.accounts.iter().map(|(action, account)| (action.clone(), metrics(account))).collect()
    }

    /// The numbers for the API.
    pub fn stats(&self, controls: &Controls, oldest_open_due: Option<UnixMs>) -> Stats {
        let actions: BTreeMap<Slug, ActionStats> = self
            .accounts
            .iter()
            .map(|(action, account)| {
                let reason = controls.pause_reason(action).map(str::to_owned);
                let state = if reason.is_some() { "paused" } else { "active" };
                let breaker = account.totals.breaker.open().map(BreakerStats::of);
                let (counts, set_aside) = (Counts::of(account), account.set_aside);
                (action.clone(), ActionStats { counts, set_aside, state: state.to_owned(), reason, breaker })
            })
            .collect();
        let mut counts = Counts::default();
        let mut set_aside = 0;
        for action in actions.values() {
            counts.add(&action.counts);
            set_aside += action.set_aside;
        }
        Stats { counts, set_aside, oldest_open_due, actions }
    }
}

/// The accounting identity: `accepted = delivered + rejected + exhausted + canceled + open`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub accepted: u64,
    pub delivered: u64,
    pub rejected: u64,
    pub exhausted: u64,
    pub canceled: u64,
    pub open: u64,
    pub attempts: Attempts,
}

impl Counts {
    fn of(account: &Account) -> Self {
        let Totals { accepted, delivered, rejected, exhausted, canceled, attempts, .. } = account.totals;
        let open = account.open();
        Self { accepted, delivered, rejected, exhausted, canceled, open, attempts }
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.exhausted += other.exhausted;
        self.canceled += other.canceled;
        self.open += other.open;
        self.attempts.delivered += other.attempts.delivered;
        self.attempts.retry += other.attempts.retry;
        self.attempts.reject += other.attempts.reject;
    }
}

/// One action in the answer to [`super::protocol::OutboxCall::Metrics`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionMetrics {
    /// The accounting.
    pub counts: Counts,
    /// What its attempts met.
    pub outcomes: Outcomes,
    /// When the longest waiting delivery was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_due: Option<UnixMs>,
    /// Shards in which its breaker is open.
    pub open_breakers: u64,
}

impl ActionMetrics {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.outcomes.add(&other.outcomes);
        self.oldest_due = [self.oldest_due, other.oldest_due].into_iter().flatten().min();
        self.open_breakers += other.open_breakers;
    }
}

/// `GET …/stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Of all actions.
    #[serde(flatten)]
    pub counts: Counts,
    /// Open ones whose rows can't be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_aside: u64,
    /// When the longest waiting delivery was or is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_open_due: Option<UnixMs>,
    /// Of each action.
    pub actions: BTreeMap<Slug, ActionStats>,
}

/// One action in [`Stats`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStats {
    /// Its numbers.
    #[serde(flatten)]
    pub counts: Counts,
    /// Open ones whose rows can't be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_aside: u64,
    /// `active` or `paused`.
    pub state: String,
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its circuit breaker, while that is open in some shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerStats>,
}

/// An open circuit breaker in [`Stats`]: the one that opened first, where several shards have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerStats {
    /// When it opened.
    pub open_since: UnixMs,
    /// When the next delivery asks whether the endpoint is back.
    pub next_probe: UnixMs,
}

impl BreakerStats {
    const fn of(open: Open) -> Self {
        Self { open_since: open.at, next_probe: open.probe_at }
    }
}

impl Stats {
    /// Adds another shard's numbers.
    pub fn merge(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.set_aside += other.set_aside;
        self.oldest_open_due = match (self.oldest_open_due, other.oldest_open_due) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        for (action, theirs) in other.actions {
            match self.actions.get_mut(&action) {
                Some(mine) => {
                    mine.counts.add(&theirs.counts);
                    mine.set_aside += theirs.set_aside;
                    let breakers = [mine.breaker, theirs.breaker].into_iter().flatten();
                    mine.breaker = breakers.min_by_key(|breaker| breaker.open_since);
                }
                None => drop(self.actions.insert(action, theirs)),
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if wants a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use varde_core::delivery::Delivery;

    use super::*;

    fn action() -> Slug {
        "a".parse().unwrap()
    }

    #[test]
    fn the_identity_holds_after_every_move() {
        let mut ledger = Ledger::default();
        let scheduled = Delivery::scheduled(UnixMs(5)).state;
        let in_flight = State::InFlight { attempt: 1, started: UnixMs(0), deadline: UnixMs(9), grace: false };
        let ends = [
            State::Delivered { attempt: 1 },
            State::Canceled { attempt: 1 },
            State::Exhausted { attempt: 1, reason: String::new() },
            State::Rejected { attempt: 1, reason: String::new() },
        ];
        for (n, end) in ends.iter().enumerate() {
            ledger.moved(&action(), None, &scheduled);
            ledger.moved(&action(), Some(&scheduled), &in_flight);
            assert_eq!(ledger.open(), 1);
            ledger.moved(&action(), Some(&in_flight), end);
            let stats = ledger.stats(&Controls::default(), None);
            let Counts { accepted, delivered, rejected, exhausted, canceled, open, .. } = stats.counts;
            assert_eq!(accepted, n as u64 + 1);
            assert_eq!(accepted, delivered + rejected + exhausted + canceled + open);
        }
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn what_is_set_aside_is_open_and_shows() {
        let mut ledger = Ledger::default();
        let scheduled = Delivery::scheduled(UnixMs(5)).state;
        ledger.moved(&action(), None, &scheduled);
        ledger.moved(&action(), None, &scheduled);
        ledger.changed_lane(&action(), Lane::Scheduled, Lane::SetAside);
        let mut stats = ledger.stats(&Controls::default(), None);
        assert_eq!((stats.counts.accepted, stats.counts.open, stats.set_aside), (2, 2, 1));
        stats.merge(stats.clone());
        assert_eq!((stats.set_aside, stats.actions["a"].set_aside), (2, 2));
        ledger.changed_lane(&action(), Lane::SetAside, Lane::Scheduled);
        let text = serde_json::to_string(&ledger.stats(&Controls::default(), None)).unwrap();
        assert!(!text.contains("set_aside"), "nothing to tell: {text}");
    }

    #[test]
    fn a_start_counts_what_came_after_the_last_settle_and_hides_no_loss() {
        let totals = Totals { accepted: 5, delivered: 3, ..Totals::default() };
        let mut account = Account { totals, scheduled: 4, ..Account::default() };
        account.catch_up();
        assert_eq!(account.totals.accepted, 7, "two came in after the totals were stored");
        let mut account = Account { totals, scheduled: 1, ..Account::default() };
        account.catch_up();
        assert_eq!(account.totals.accepted, 5, "one is missing, and shows");
    }

    #[test]
    fn remembers_the_earliest_due() {
        let mut ledger = Ledger::default();
        for due in [9, 4, 7] {
            ledger.moved(&action(), None, &Delivery::scheduled(UnixMs(due)).state);
        }
        assert_eq!(ledger.account(&action()).earliest_due, Some(UnixMs(4)));
    }

    #[test]
    fn shards_add_up() {
        let mut one = Ledger::default();
        one.moved(&action(), None, &State::Delivered { attempt: 1 });
        let mut all = one.stats(&Controls::default(), Some(UnixMs(7)));
        all.merge(one.stats(&Controls::default(), Some(UnixMs(3))));
        assert_eq!((all.counts.delivered, all.actions["a"].counts.accepted), (2, 2));
        assert_eq!(all.oldest_open_due, Some(UnixMs(3)));
    }

    #[test]
    fn stored_counters_format_unchanged() {
        assert_eq!(
            serde_json::to_string(&Totals::default()).unwrap(),
            r#"{"accepted":0,"delivered":0,"rejected":0,"exhausted":0,"canceled":0,"attempts":{"delivered":0,"retry":0,"reject":0},"outcomes":{"response":0,"timeout":0,"connect":0,"lost":0,"blocked":0,"token":0,"durations":[0,0,0,0,0,0,0,0,0],"duration_ms":0}}"#
        );
        let before_outcomes = r#"{"accepted":1,"delivered":1,"rejected":0,"exhausted":0,"canceled":0,"attempts":{"delivered":1,"retry":0,"reject":0}}"#;
        assert_eq!(serde_json::from_str::<Totals>(before_outcomes).unwrap().delivered, 1);
    }
}
