//! Sending again what has ended: one delivery, or all of a kind.
//!
//! A replay is a new delivery of the same enrollment that names the old one. It sends that webhook again
//! and nothing else: the enrollment's other actions have had their turn.
//!
//! A bulk replay goes through each shard by itself, oldest first, and keeps only so many of its deliveries
//! open at a time: it is paced by what its endpoint takes, canceling it stops it soon, and what comes in
//! meanwhile isn't stuck behind all of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery::State;
use crate::ids::{DeliveryId, ReplayId};
use crate::json::{Mistake, Mistakes, Node};
use crate::slug::Slug;
use crate::time::UnixMs;

/// Deliveries of one bulk replay that are open in one shard at a time: twice the leases of an action, so
/// that senders never wait for the next one.
pub const WINDOW: u64 = 128;
/// Replays of one enrollment: they are listed with it.
pub const MAX_PER_ENROLLMENT: usize = 1_000;

/// Which rendering a replay sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rendering {
    /// The very request of the old delivery.
    #[default]
    Original,
    /// The action as it is now, with the record, the event and the outputs of then.
    Current,
}

impl Rendering {
    /// Reads the body of a replay call: `{"render"?: "original" | "current"}`.
    ///
    /// # Errors
    /// All mistakes, each with its place.
    pub fn parse(body: &Value) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let node = Node::root(body, &mistakes);
        let rendering = node.fields(&["render"]).and_then(|fields| {
            fields.or("render", Self::Original, |node| {
                node.word(&[("original", Self::Original), ("current", Self::Current)])
            })
        });
        mistakes.conclude(rendering)
    }
}

/// What a delivery is a replay of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayOf {
    /// The old delivery.
    pub delivery: DeliveryId,
    /// The bulk replay that asked for it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<ReplayId>,
}

/// How a delivery has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The endpoint had it.
    Delivered,
    /// The endpoint refused for good, or nothing could be sent.
    Rejected,
    /// The window was used up.
    Exhausted,
    /// A person ended it.
    Canceled,
}

impl Ended {
    /// How a state has ended; `None` while it is open.
    #[must_use]
    pub const fn of(state: &State) -> Option<Self> {
        match state {
            State::Delivered { .. } => Some(Self::Delivered),
            State::Rejected { .. } => Some(Self::Rejected),
            State::Exhausted { .. } => Some(Self::Exhausted),
            State::Canceled { .. } => Some(Self::Canceled),
            State::Scheduled { .. } | State::InFlight { .. } | State::Held { .. } | State::Blocked { .. } => {
                None
            }
        }
    }

    /// The word in the API and in a stored state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Canceled => "canceled",
        }
    }
}

/// Which deliveries a bulk replay takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Those that ended so.
    pub status: Ended,
    /// Only this action's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Slug>,
    /// Created at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMs>,
    /// Created before; never later than the replay itself, so that it doesn't meet its own deliveries.
    pub until: UnixMs,
}

/// The body of a bulk replay call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which deliveries.
    pub filter: Filter,
    /// Whether they are only counted.
    pub dry_run: bool,
}

impl Order {
    /// Reads `{"status", "action"?, "since"?, "until"?, "dry_run"?}`.
    ///
    /// # Errors
    /// All mistakes, each with its place.
    pub fn parse(body: &Value, now: UnixMs) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let order = Self::read(Node::root(body, &mistakes), now);
        mistakes.conclude(order)
    }

    fn read(node: Node<'_>, now: UnixMs) -> Option<Self> {
        let fields = node.fields(&["status", "action", "since", "until", "dry_run"])?;
        let ends = [Ended::Exhausted, Ended::Rejected, Ended::Canceled, Ended::Delivered];
        let status = fields.need("status", |node| node.word(&ends.map(|end| (end.as_str(), end))));
        let action = fields.maybe("action", |node| node.parse());
        let since = fields.maybe("since", |node| node.integer(0..=u64::MAX).map(UnixMs));
        let until = fields.maybe("until", |node| {
            let until = node.integer(0..=u64::MAX).map(UnixMs)?;
            match since {
                Some(Some(since)) if since >= until => {
                    node.mistake(format_args!(
                        "must be after `since`, which is {}; found {}",
                        since.0, until.0
                    ));
                    None
                }
                _ => Some(until),
            }
        });
        let dry_run = fields.or("dry_run", false, |node| node.boolean());
        let filter =
            Filter { status: status?, action: action?, since: since?, until: until?.unwrap_or(now).min(now) };
        Some(Self { filter, dry_run: dry_run? })
    }
}

/// A bulk replay as all shards know it. Told twice, it changes nothing; told with `canceled`, it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkReplay {
    /// Its id.
    pub id: ReplayId,
    /// Which deliveries.
    pub filter: Filter,
    /// Whether a person has stopped it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceled: bool,
}

/// Where a bulk replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// There is more to replay.
    Replaying,
    /// All are replayed; some of the new deliveries may still be open.
    Done,
    /// A person has stopped it.
    Canceled,
}

/// What a bulk replay has done, in one shard or in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Deliveries that the filter found when it began.
    pub matched: u64,
    /// New deliveries made.
    pub replayed: u64,
    /// Old deliveries left out: replayed before, gone since, or with nothing to send.
    pub skipped: u64,
    /// How many of the new ones arrived.
    pub delivered: u64,
    /// How many were refused for good.
    pub rejected: u64,
    /// How many used up their window.
    pub exhausted: u64,
    /// How many were canceled.
    pub canceled: u64,
}

impl Counts {
    /// New deliveries that haven't ended.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.replayed.saturating_sub(self.delivered + self.rejected + self.exhausted + self.canceled)
    }

    /// Adds another shard's.
    pub const fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.replayed += other.replayed;
        self.skipped += other.skipped;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.exhausted += other.exhausted;
        self.canceled += other.canceled;
    }
}

/// A bulk replay's progress in one shard, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was ordered.
    #[serde(flatten)]
    pub bulk: BulkReplay,
    /// Where it stands.
    pub phase: Phase,
    /// The last delivery that was looked at; it goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DeliveryId>,
    /// What it has done.
    pub counts: Counts,
}

impl Progress {
    /// One that begins, with what its filter finds.
    #[must_use]
    pub fn begin(bulk: BulkReplay, matched: u64) -> Self {
        let phase = match (bulk.canceled, matched) {
            (true, _) => Phase::Canceled,
            (false, 0) => Phase::Done,
            (false, _) => Phase::Replaying,
        };
        Self { bulk, phase, after: None, counts: Counts { matched, ..Counts::default() } }
    }

    /// How many deliveries it may make now.
    #[must_use]
    pub fn room(&self) -> u64 {
        match self.phase {
            Phase::Replaying => WINDOW.saturating_sub(self.counts.open()),
            Phase::Done | Phase::Canceled => 0,
        }
    }

    /// A delivery was looked at: replayed, or skipped.
    pub const fn looked_at(&mut self, id: DeliveryId, replayed: bool) {
        self.after = Some(id);
        if replayed {
            self.counts.replayed += 1;
        } else {
            self.counts.skipped += 1;
        }
    }

    /// There was nothing left to look at. What was counted when it began and is gone was skipped.
    pub fn finish(&mut self) {
        if self.phase == Phase::Replaying {
            self.phase = Phase::Done;
            let seen = self.counts.replayed + self.counts.skipped;
            self.counts.skipped += self.counts.matched.saturating_sub(seen);
        }
    }

    /// One of its deliveries has ended.
    pub const fn ended(&mut self, how: Ended) {
        match how {
            Ended::Delivered => self.counts.delivered += 1,
            Ended::Rejected => self.counts.rejected += 1,
            Ended::Exhausted => self.counts.exhausted += 1,
            Ended::Canceled => self.counts.canceled += 1,
        }
    }

    /// A person stops it. Says whether that is news.
    pub const fn cancel(&mut self) -> bool {
        let news = !self.bulk.canceled;
        self.bulk.canceled = true;
        self.phase = Phase::Canceled;
        news
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMs = UnixMs(1_000_000);

    fn bulk() -> BulkReplay {
        let filter = Filter { status: Ended::Exhausted, action: None, since: None, until: NOW };
        BulkReplay { id: ReplayId::mint(NOW, 0, 7), filter, canceled: false }
    }

    #[test]
    fn reads_which_rendering() {
        for (body, expected) in [
            (json!({}), Ok(Rendering::Original)),
            (json!({"render": "original"}), Ok(Rendering::Original)),
            (json!({"render": "current"}), Ok(Rendering::Current)),
            (json!({"render": "new"}), Err("/render: expected `original` or `current`, found \"new\"")),
            (json!({"rendering": "new"}), Err("/rendering: unknown field; known are `render`")),
            (json!([]), Err(": expected an object, found an array")),
        ] {
            let found = Rendering::parse(&body).map_err(|mistakes| mistakes[0].to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{body}");
        }
    }

    #[test]
    fn reads_an_order() {
        let body = json!({"status": "rejected", "action": "a", "since": 5, "until": 9, "dry_run": true});
        let order = Order::parse(&body, NOW).unwrap();
        let filter = Filter {
            status: Ended::Rejected,
            action: Some("a".parse().unwrap()),
            since: Some(UnixMs(5)),
            until: UnixMs(9),
        };
        assert_eq!(order, Order { filter, dry_run: true });
        let order = Order::parse(&json!({"status": "exhausted", "until": u64::MAX}), NOW).unwrap();
        assert_eq!(order.filter.until, NOW, "not its own deliveries");
        assert!(!order.dry_run);
    }

    #[test]
    fn names_all_mistakes_of_an_order() {
        let body = json!({"status": "open", "since": 9, "until": 9, "dry_run": 1, "x": 1});
        let mistakes = Order::parse(&body, NOW).unwrap_err();
        let found: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "/x: unknown field; known are `status`, `action`, `since`, `until`, `dry_run`",
                "/status: expected `exhausted`, `rejected`, `canceled` or `delivered`, found \"open\"",
                "/until: must be after `since`, which is 9; found 9",
                "/dry_run: expected true or false, found a number",
            ]
        );
        assert_eq!(Order::parse(&json!({}), NOW).unwrap_err()[0].pointer, "/status");
    }

    #[test]
    fn keeps_a_window_open_and_no_more() {
        let mut progress = Progress::begin(bulk(), 300);
        assert_eq!(progress.room(), WINDOW);
        for n in 0..WINDOW {
            progress.looked_at(DeliveryId::mint(NOW, 0, u128::from(n)), true);
        }
        assert_eq!(progress.room(), 0);
        for how in [Ended::Delivered, Ended::Rejected, Ended::Exhausted, Ended::Canceled] {
            progress.ended(how);
        }
        assert_eq!((progress.room(), progress.counts.open()), (4, WINDOW - 4));
        progress.looked_at(DeliveryId::mint(NOW, 0, 999), false);
        assert_eq!((progress.room(), progress.counts.skipped), (4, 1));
    }

    #[test]
    fn adds_up_when_it_is_done() {
        let mut progress = Progress::begin(bulk(), 3);
        progress.looked_at(DeliveryId::mint(NOW, 0, 1), true);
        progress.finish();
        assert_eq!((progress.phase, progress.counts.skipped), (Phase::Done, 2), "two are gone since");
        assert!(progress.cancel() && !progress.cancel(), "what it made may still be open");
        assert_eq!(progress.phase, Phase::Canceled);
    }

    #[test]
    fn a_canceled_one_makes_nothing_more() {
        let mut progress = Progress::begin(bulk(), 3);
        progress.cancel();
        progress.finish();
        assert_eq!((progress.phase, progress.room(), progress.bulk.canceled), (Phase::Canceled, 0, true));
        let told_late = Progress::begin(BulkReplay { canceled: true, ..bulk() }, 3);
        assert_eq!(told_late.phase, Phase::Canceled);
        assert_eq!(Progress::begin(bulk(), 0).phase, Phase::Done);
    }

    #[test]
    fn stored_progress_format_unchanged() {
        let mut progress = Progress::begin(bulk(), 3);
        let id = DeliveryId::mint(NOW, 0, 1);
        progress.looked_at(id, true);
        let text = format!(
            r#"{{"id":"{}","filter":{{"status":"exhausted","until":1000000}},"phase":"replaying","after":"{id}","counts":{{"matched":3,"replayed":1,"skipped":0,"delivered":0,"rejected":0,"exhausted":0,"canceled":0}}}}"#,
            progress.bulk.id
        );
        assert_eq!(serde_json::to_string(&progress).unwrap(), text);
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        let of = ReplayOf { delivery: id, bulk: None };
        assert_eq!(serde_json::to_string(&of).unwrap(), format!(r#"{{"delivery":"{id}"}}"#));
    }

    #[test]
    fn counts_of_shards_add_up() {
        let one = Counts {
            matched: 1,
            replayed: 2,
            skipped: 3,
            delivered: 4,
            rejected: 5,
            exhausted: 6,
            canceled: 7,
        };
        let mut sum = one;
        sum.add(&one);
        let twice = Counts {
            matched: 2,
            replayed: 4,
            skipped: 6,
            delivered: 8,
            rejected: 10,
            exhausted: 12,
            canceled: 14,
        };
        assert_eq!(sum, twice);
    }
}
