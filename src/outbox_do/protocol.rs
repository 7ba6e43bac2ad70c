//! What is said between the edge, the outbox and the sender. All of it crosses versions of the Worker
//! while a deploy rolls out, so `protocol_format_unchanged` pins it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use varde_core::auth::Auth;
use varde_core::controls::Controls;
use varde_core::ids::{DeliveryId, EnrollmentId, ReplayId};
use varde_core::outcome::Outcome;
use varde_core::rate::RateLimit;
use varde_core::replay::{BulkReplay, Filter};
use varde_core::schedule::RetryPolicy;
use varde_core::slug::Slug;

/// Which outbox it is: one per workflow and shard. The object is named by the workflow's internal uid, so
/// a slug that is created anew starts empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The workflow's id in the API.
    pub workflow: Slug,
    /// The workflow's internal name.
    pub uid: String,
    /// 0 to 63.
    pub shard: u8,
}

impl Home {
    /// The Durable Object's name.
    pub fn object_name(&self) -> String {
        format!("{}/{}", self.uid, self.shard)
    }
}

/// What an outbox is told for every delivery; it does several in one turn.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnCall {
    /// Take enrollments in; answered by [`AcceptReply`] once they are committed.
    Accept(Accept),
    /// An attempt has ended; answered by [`SettleReply`].
    Settle(Box<Settle>),
}

/// Any other call to an outbox, one at a time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxCall {
    /// A lease is given back with nothing sent; answered by [`SettleReply`].
    Return(Return),
    /// The next step of an enrollment, rendered; answered by [`SettleReply`].
    Advance(Advance),
    /// New controls from the registry; answered by [`Acknowledged`].
    Controls(Controls),
    /// How much is open; answered by [`OpenCount`].
    OpenCount {},
    /// Look after yourself: is the alarm where it must be? Answered by [`Acknowledged`].
    Check {
        /// Whose outbox it is, if it doesn't know any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        home: Option<Home>,
    },
    /// One page of deliveries, newest first; answered by [`Page`].
    Deliveries(Query),
    /// One page of enrollments, newest first; answered by [`Page`].
    Enrollments(Query),
    /// One delivery with its request and attempts, or null.
    Delivery {
        /// Which.
        id: DeliveryId,
    },
    /// One enrollment with its deliveries, or null.
    Enrollment {
        /// Which.
        id: EnrollmentId,
    },
    /// End an open delivery; answered by [`CancelReply`].
    Cancel {
        /// Which.
        id: DeliveryId,
    },
    /// What is needed to render a delivery anew; answered by `Option<`[`Story`]`>`.
    Story {
        /// Which.
        id: DeliveryId,
    },
    /// Send one again that has ended; answered by [`ReplayReply`].
    Replay(Replay),
    /// How many deliveries a bulk replay would take here; answered by a number.
    CountReplayable(Filter),
    /// Begin a bulk replay, or cancel it; answered by [`Acknowledged`].
    BulkReplay(BulkReplay),
    /// How far bulk replays are; answered by `Vec<Option<`[`Progress`]`>>`, `None` for one not heard of.
    ReplayProgress {
        /// Which.
        ids: Vec<ReplayId>,
    },
    /// Another outbox of the workflow needs slots of a rate limit; answered by [`Grant`].
    Slots(WantSlots),
    /// An operational event was brought, or nobody wants it; answered by [`Acknowledged`].
    Reported {
        /// Which.
        id: EnrollmentId,
    },
    /// The accounting; answered by [`crate::outbox_do::ledger::Stats`].
    Stats {},
    /// The numbers for monitoring; answered by a [`crate::outbox_do::ledger::ActionMetrics`] for each action.
    Metrics {},
    /// Panic now, or in the next alarm; for the tests of what a panic does.
    #[cfg(feature = "testing")]
    Panic {
        /// Whether the alarm panics instead of this call.
        in_alarm: bool,
    },
    /// Lose the alarm and don't notice; for the tests of who finds out.
    #[cfg(feature = "testing")]
    LoseAlarm {},
    /// Ring now, beside whatever goes on.
    #[cfg(feature = "testing")]
    Ring {},
}

/// Enrollments of one shard.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accept {
    /// Which outbox this is, for its first call.
    pub home: Home,
    /// The enrollments, each with its first delivery.
    pub enrollments: Vec<NewEnrollment>,
    /// Most leases that the caller can take on.
    pub leases: usize,
}

/// One enrollment as the edge hands it over.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewEnrollment {
    /// Minted by the edge, so that it can repeat an accept safely.
    pub id: EnrollmentId,
    /// The record's id.
    pub record: String,
    /// The record and the event, as JSON; the outbox stores it unread.
    pub input: Box<RawValue>,
    /// The caller's `Idempotency-Key`, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// The delivery of the first action.
    pub first: Planned,
}

/// An idempotency key and what it was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The key, hashed together with the record's id.
    pub key: String,
    /// A hash of the input: the same key with another one is a mistake.
    pub body_hash: String,
}

/// A delivery to create.
#[derive(Debug, Serialize, Deserialize)]
pub struct Planned {
    /// Its action.
    pub action: Slug,
    /// What to send, or why there is nothing.
    pub plan: Plan,
    /// Whether it waits for earlier deliveries of its record to this action.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
}

/// What a delivery sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// A request, rendered.
    Send {
        /// What was fixed with it.
        terms: Terms,
        /// A [`varde_core::request::Request`] as JSON; the outbox stores it unread.
        request: Box<RawValue>,
    },
    /// Nothing can be sent.
    Unsendable {
        /// A stable slug.
        reason: String,
    },
}

/// What is fixed when a delivery is created, besides the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Timeout of one attempt.
    pub timeout_ms: u64,
    /// How attempts are authenticated; names the secret.
    pub auth: Auth,
    /// When failed attempts are made again.
    pub retry: RetryPolicy,
}

/// The answer to [`TurnCall::Accept`].
#[derive(Debug, Serialize, Deserialize)]
pub struct AcceptReply {
    /// One for each enrollment, in order.
    pub results: Vec<Accepted>,
    /// The leases that the caller got; it has the requests.
    pub leases: Vec<Ticket>,
}

/// What became of one enrollment.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accepted {
    /// It is stored.
    Enrolled {
        /// Its id.
        id: EnrollmentId,
    },
    /// The idempotency key was used for another input.
    KeyReused {
        /// The enrollment that has the key.
        id: EnrollmentId,
    },
    /// It can't be stored; nothing was.
    Failed,
    /// Too much is open in this shard; nothing was stored.
    Full,
    /// The workflow takes no more enrollments; nothing was stored.
    Closed,
}

/// The right to make one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Number of the lease.
    pub lease: u32,
    /// How long it lasts, counted by the outbox.
    pub lease_ms: u64,
}

/// A lease with all that a sender needs to use it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lease {
    /// The right.
    pub ticket: Ticket,
    /// The delivery's action.
    pub action: Slug,
    /// What was fixed.
    pub terms: Terms,
    /// What to send.
    pub request: Box<RawValue>,
}

/// The end of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settle {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// By which lease.
    pub lease: u32,
    /// What it met.
    pub outcome: Outcome,
    /// How long it took.
    pub duration_ms: u64,
    /// `{"headers", "body", "truncated"}`, masked; the outbox stores it unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<RawValue>>,
    /// The outputs, `{name: value}`, and a note where the response gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Box<RawValue>>,
    /// How the enrollment goes on, should this end the delivery.
    pub then: Then,
    /// How long the sender can still work; a lease that fits may be handed back.
    pub budget_ms: u64,
}

/// A lease given back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Return {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// By which lease.
    pub lease: u32,
    /// A stable slug of what was missing.
    pub reason: String,
}

/// A delivery to send again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replay {
    /// The old one.
    pub of: DeliveryId,
    /// The new one's id, minted by the edge, so that it can repeat this safely.
    pub id: DeliveryId,
    /// What it sends; the old one's request where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
}

/// The answer to [`OutboxCall::Replay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayReply {
    /// The new delivery is there.
    Created,
    /// There is no such delivery.
    Unknown,
    /// The old one hasn't ended.
    StillOpen,
    /// The old one had nothing to send.
    NothingToSend,
    /// Its enrollment has been replayed too often.
    TooMany,
    /// Too much is open in this shard.
    Full,
}

/// A delivery's part of its enrollment, for rendering.
#[derive(Debug, Serialize, Deserialize)]
pub struct Story {
    /// Its action.
    pub action: Slug,
    /// The record and the event.
    pub input: Box<RawValue>,
    /// The outputs of all ended actions.
    pub outputs: Box<RawValue>,
}

/// Slots that an outbox asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantSlots {
    /// For which action.
    pub action: Slug,
    /// Who asks.
    pub shard: u8,
    /// How many it has use for.
    pub wanted: u32,
    /// The limit as it knows it.
    pub limit: RateLimit,
}

/// How an enrollment goes on after a delivery.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The sender can't tell; somebody will be asked ([`AdvanceWork`]).
    Unknown,
    /// That was the last action.
    Done,
    /// It ends early.
    Failed {
        /// `action_failed` or `workflow_changed`.
        reason: String,
    },
    /// The next action's delivery.
    Next {
        /// Its id, minted by the sender.
        delivery: DeliveryId,
        /// What it sends.
        planned: Planned,
    },
}

impl Then {
    /// Whether nothing comes after it.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed { .. })
    }
}

/// The answer to an [`AdvanceWork`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Advance {
    /// Which enrollment.
    pub enrollment: EnrollmentId,
    /// The action that had ended.
    pub after: Slug,
    /// How it goes on.
    pub then: Then,
    /// As in [`Settle`].
    pub budget_ms: u64,
}

/// The answer to a settle, a return or an advance.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettleReply {
    /// Why it was ignored, as a stable slug; absent when it counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// More work for this sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

/// Something for a sender to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Make an attempt.
    Send(Lease),
    /// Render the next step of an enrollment.
    Advance(AdvanceWork),
    /// Bring an operational event to the workflow `operations`.
    Report(Report),
}

/// An operational event on its way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Names the enrollment that it becomes, but for the shard.
    pub id: EnrollmentId,
    /// The enrollment's input.
    pub input: Box<RawValue>,
}

/// An enrollment whose delivery ended while nobody who knows the workflow was there.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdvanceWork {
    /// Which enrollment.
    pub enrollment: EnrollmentId,
    /// The action that ended.
    pub after: Slug,
    /// Whether it was delivered.
    pub delivered: bool,
    /// The record and the event.
    pub input: Box<RawValue>,
    /// The outputs of all ended actions, `{action: {name: value}}`.
    pub outputs: Box<RawValue>,
}

/// What an alarm hands to the `Sender` entrypoint.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandOver {
    /// Where it comes from.
    pub home: Home,
    /// At most six pieces.
    pub work: Vec<Work>,
}

/// A yes with nothing to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {}

/// The answer to [`OutboxCall::OpenCount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCount {
    /// Open deliveries, and enrollments whose next step isn't rendered yet.
    pub open: u64,
}

/// The answer to [`OutboxCall::Cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReply {
    /// It was open and is canceled.
    Canceled,
    /// It had ended before.
    Ended,
    /// There is no such delivery.
    Unknown,
}

/// Filters of a list; ids below `before`, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Ids from this one on, downwards, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Most items.
    pub limit: usize,
    /// Only this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Only this bulk replay's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// Created at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Created before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// One page of one shard.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    /// The items that matched, newest first, each with its id.
    pub items: Vec<(String, Box<RawValue>)>,
    /// The last id that was looked at; `None` when there is nothing below.
    pub scanned_to: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use varde_core::time::UnixMs;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn planned() -> Planned {
        let terms = Terms { timeout_ms: 25_000, auth: Auth::None, retry: RetryPolicy::default() };
        Planned {
            action: "a".parse().unwrap(),
            plan: Plan::Send { terms, request: raw("{}") },
            ordered: false,
        }
    }

    /// Reads what was written and writes it again: an older isolate's message means the same to a newer one.
    fn pinned<Call: Serialize + DeserializeOwned>(call: &Call, text: &str) {
        assert_eq!(serde_json::to_string(call).unwrap(), text);
        let read: Call = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn protocol_format_unchanged() {
        let id = EnrollmentId::mint(UnixMs(1_000), 3, 7);
        let retry = r#"{"first_ms":60000,"factor":2.0,"max_ms":28800000,"max_age_ms":259200000,"jitter":0.1,"retry_after_unit":"milliseconds","also_retry":[]}"#;
        let plan = format!(
            r#"{{"action":"a","plan":{{"send":{{"terms":{{"timeout_ms":25000,"auth":{{"type":"none"}},"retry":{retry}}},"request":{{}}}}}}}}"#
        );
        let home = Home { workflow: "w".parse().unwrap(), uid: "u".to_owned(), shard: 3 };
        let new = NewEnrollment {
            id,
            record: "1".to_owned(),
            input: raw("{}"),
            idempotency: None,
            first: planned(),
        };
        pinned(
            &TurnCall::Accept(Accept { home, enrollments: vec![new], leases: 6 }),
            &format!(
                r#"{{"accept":{{"home":{{"workflow":"w","uid":"u","shard":3}},"enrollments":[{{"id":"{id}","record":"1","input":{{}},"first":{plan}}}],"leases":6}}}}"#
            ),
        );
        let delivery = id.first_delivery();
        let settle = Settle {
            delivery,
            lease: 1,
            outcome: Outcome::Response { status: 200, retry_after: None },
            duration_ms: 5,
            response: None,
            outputs: None,
            then: Then::Next { delivery, planned: planned() },
            budget_ms: 9,
        };
        pinned(
            &TurnCall::Settle(Box::new(settle)),
            &format!(
                r#"{{"settle":{{"delivery":"{delivery}","lease":1,"outcome":{{"outcome":"response","status":200}},"duration_ms":5,"then":{{"next":{{"delivery":"{delivery}","planned":{plan}}}}},"budget_ms":9}}}}"#
            ),
        );
        pinned(
            &OutboxCall::Controls(Controls { version: 2, ..Controls::default() }),
            r#"{"controls":{"version":2}}"#,
        );
        pinned(&OutboxCall::Check { home: None }, r#"{"check":{}}"#);
        pinned(
            &OutboxCall::Return(Return { delivery, lease: 1, reason: "paused".to_owned() }),
            &format!(r#"{{"return":{{"delivery":"{delivery}","lease":1,"reason":"paused"}}}}"#),
        );
    }
}
