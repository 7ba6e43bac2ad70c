//! What attempts met, and how long they took: counted for good, stored with the totals.

use serde::{Deserialize, Serialize};
use varde_core::outcome::Outcome;

/// Upper ends of the histogram's buckets, in milliseconds; a timeout is at most 28 seconds.
pub const DURATION_BUCKETS_MS: [u64; 9] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// Ended attempts by outcome, and their durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// The endpoint answered.
    pub response: u64,
    /// It didn't in time.
    pub timeout: u64,
    /// There was no connection.
    pub connect: u64,
    /// Nobody came back to tell.
    pub lost: u64,
    /// The URL may not be called.
    pub blocked: u64,
    /// The token URL gave no token.
    #[serde(default)]
    pub token: u64,
    /// How many took at most as long as the bucket's end, and longer than the one before.
    pub durations: [u64; DURATION_BUCKETS_MS.len()],
    /// How long all took together, in milliseconds.
    pub duration_ms: u64,
}

impl Outcomes {
    /// An attempt ended.
    pub const fn count(&mut self, outcome: &Outcome, duration_ms: u64) {
        match outcome {
            Outcome::Response { .. } => self.response += 1,
            Outcome::Timeout => self.timeout += 1,
            Outcome::Connect => self.connect += 1,
            Outcome::Lost => self.lost += 1,
            Outcome::Blocked => self.blocked += 1,
            Outcome::Token { .. } => self.token += 1,
        }
        self.duration_ms = self.duration_ms.saturating_add(duration_ms);
        let mut at = 0;
        while at + 1 < DURATION_BUCKETS_MS.len() && duration_ms > DURATION_BUCKETS_MS[at] {
            at += 1;
        }
        self.durations[at] += 1;
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.response += other.response;
        self.timeout += other.timeout;
        self.connect += other.connect;
        self.lost += other.lost;
        self.blocked += other.blocked;
        self.token += other.token;
        self.duration_ms = self.duration_ms.saturating_add(other.duration_ms);
        for (mine, theirs) in self.durations.iter_mut().zip(other.durations) {
            *mine += theirs;
        }
    }

    /// All attempts.
    pub const fn total(&self) -> u64 {
        self.response + self.timeout + self.connect + self.lost + self.blocked + self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_durations_into_buckets() {
        let mut outcomes = Outcomes::default();
        for ms in [0, 50, 51, 10_001, 30_000, 90_000] {
            outcomes.count(&Outcome::Timeout, ms);
        }
        assert_eq!(outcomes.durations, [2, 1, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!((outcomes.timeout, outcomes.total(), outcomes.duration_ms), (6, 6, 130_102));
        let mut twice = outcomes;
        twice.add(&outcomes);
        assert_eq!((twice.durations[0], twice.total(), twice.duration_ms), (4, 12, 260_204));
    }

    #[test]
    fn stored_outcomes_format_unchanged() {
        let mut outcomes = Outcomes::default();
        outcomes.count(&Outcome::Response { status: 200, retry_after: None }, 7);
        let text = r#"{"response":1,"timeout":0,"connect":0,"lost":0,"blocked":0,"token":0,"durations":[1,0,0,0,0,0,0,0,0],"duration_ms":7}"#;
        assert_eq!(serde_json::to_string(&outcomes).unwrap(), text);
        assert_eq!(serde_json::from_str::<Outcomes>(text).unwrap(), outcomes);
    }
}
