//! The outbox: the Durable Object that remembers the deliveries of one workflow and shard.
//!
//! State: the rows of `schema.rs`; in memory the ledger (counts), the controls, and where the alarm stands,
//! all rebuilt from rows. Invariants: every open delivery that may go on has the alarm at or before its
//! time; a lease is out at most once; rows and alarm change in one commit; nothing here ever calls an
//! endpoint, because all requests of one object share six connections.
//!
//! Each call is: load, [`varde_core::delivery::Delivery::step`], store, answer.

pub mod protocol;
pub mod ledger;
mod schema;
mod store;
mod accept;
mod settle;
mod enrollment;
mod drain;
mod controls;
mod lines;
mod aside;
mod slots;
mod replay;
mod retention;
mod reports;
mod turn;
mod view;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::RefUnwindSafe;

use serde_json::value::RawValue;
use varde_core::controls::Controls;
use varde_core::delivery::{Delivery, Effect, Event, Step};
use varde_core::ids::DeliveryId;
use varde_core::operations::Happening;
use varde_core::rate::{Allowance, Pacer};
use varde_core::replay::Progress;
use varde_core::slug::Slug;
use varde_core::time::{MINUTE_MS, UnixMs};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use self::ledger::{Account, Lane, Ledger};
use self::protocol::{Acknowledged, Home, OpenCount, OutboxCall, SettleReply};
use self::retention::Forgetting;
use self::store::{AttemptLog, DeliveryRow, Finale};
use self::turn::NextTurn;
use crate::ambient;
use crate::database::{Database, atomically, set_alarm};
use crate::objects::reply;

/// Leases that one accept hands out and one sender takes: a Worker invocation has six connections.
pub const LEASES_PER_CALL: usize = 6;
/// Open leases of one action in one outbox: a kill can double at most that many.
pub const LEASES_PER_ACTION: u64 = 64;
/// Open deliveries of one outbox; beyond it, enrollments are refused until some have ended.
pub const OPEN_LIMIT: u64 = 500_000;
/// An alarm that is so late won't ring by itself: the runtime has lost it.
const LOST_ALARM_MS: u64 = MINUTE_MS;

/// The Durable Object.
#[durable_object]
pub struct Outbox {
    state: State,
    env: Env,
    database: std::result::Result<Database, String>,
    memory: RefCell<Memory>,
    next_turn: NextTurn,
    /// Where rate limits stand, in the shard that gives slots away. Apart from the memory: an error that puts
    /// that in doubt must not give slots away twice.
    pacers: RefCell<BTreeMap<Slug, Pacer>>,
    /// Whether what an earlier version set aside has been looked at.
    taken_up: std::cell::Cell<bool>,
    #[cfg(feature = "testing")]
    panic_in_alarm: std::cell::Cell<bool>,
}

/// What is rebuilt from rows whenever the object starts, or an error has put it in doubt.
#[derive(Debug, Default)]
struct Memory {
    loaded: bool,
    home: Option<Home>,
    controls: Controls,
    /// Actions found gone here that the registry hasn't been told of yet.
    untold: Vec<Slug>,
    ledger: Ledger,
    /// Actions whose counters the transaction that is under way has yet to store.
    uncounted: BTreeSet<Slug>,
    /// Deliveries that were leased out as soon as they came in: they are settled without being read.
    leased: BTreeMap<DeliveryId, DeliveryRow>,
    /// The last place given away in a line.
    last_place: u64,
    /// What this outbox may still use of rate limits.
    allowances: BTreeMap<Slug, Allowance>,
    /// When slots may be asked for again, after there was no answer.
    ask_at: BTreeMap<Slug, UnixMs>,
    /// Whether some operational event may wait to be brought.
    reporting: bool,
    /// Bulk replays that have more to do.
    replays: Vec<Progress>,
    /// What is to be forgotten, and when.
    forgetting: Forgetting,
    /// Whether some enrollment may wait for its next step to be rendered.
    advancing: bool,
    /// Where the alarm stands, `None` when there is none.
    armed: Option<UnixMs>,
}

impl DurableObject for Outbox {
    fn new(state: State, env: Env) -> Self {
        let database =
            Database::open(state.storage().sql(), &schema::MIGRATIONS).map_err(|error| error.to_string());
        Self {
            state,
            env,
            database,
            memory: RefCell::default(),
            next_turn: NextTurn::default(),
            pacers: RefCell::default(),
            taken_up: std::cell::Cell::default(),
            #[cfg(feature = "testing")]
            panic_in_alarm: std::cell::Cell::default(),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let call: OutboxCall = serde_json::from_slice(&request.bytes().await?)?;
        self.wake_up().await?;
        let doubt = DoubtUnlessDone(self);
        let answer = self.answer(call).await?;
        std::mem::forget(doubt);
        Ok(answer)
    }

    async fn alarm(&self) -> Result<Response> {
        self.ring().await;
        Response::empty()
    }
}

// A panic in the middle of a call leaves the memory in doubt, and the guard says so: it is rebuilt.
impl RefUnwindSafe for Outbox {}

/// Doubts the memory when it is dropped: on an error, and while a panic unwinds.
struct DoubtUnlessDone<'a>(&'a Outbox);

impl Drop for DoubtUnlessDone<'_> {
    fn drop(&mut self) {
        self.0.doubt();
    }
}

impl Outbox {
    async fn answer(&self, call: OutboxCall) -> Result<Response> {
        match call {
            OutboxCall::Accept(accept) => reply(&self.accept(accept).await?),
            OutboxCall::Settle(settle) => reply(&self.settle(settle).await?),
            OutboxCall::Return(given_back) => reply(&self.take_back(&given_back).await?),
            OutboxCall::Advance(advance) => reply(&self.advance(advance).await?),
            OutboxCall::Controls(controls) => reply(&self.take_controls(controls).await?),
            OutboxCall::OpenCount {} => {
                let open = self.memory.borrow().ledger.open() + self.database()?.advance_count()?;
                reply(&OpenCount { open })
            }
            OutboxCall::Check {} => {
                // Nothing in memory is believed, the alarm's place least of all.
                self.doubt();
                self.wake_up().await?;
                reply(&Acknowledged {})
            }
            OutboxCall::Deliveries(query) => reply(&self.deliveries(&query)?),
            OutboxCall::Enrollments(query) => reply(&self.enrollments(&query)?),
            OutboxCall::Delivery { id } => reply(&self.delivery_view(id)?),
            OutboxCall::Enrollment { id } => reply(&self.enrollment_view(id)?),
            OutboxCall::Cancel { id } => reply(&self.cancel(id).await?),
            OutboxCall::Story { id } => reply(&self.story(id)?),
            OutboxCall::Replay(replay) => reply(&self.replay(replay).await?),
            OutboxCall::CountReplayable(filter) => reply(&self.database()?.count_replayable(&filter)?),
            OutboxCall::BulkReplay(bulk) => reply(&self.bulk_replay(bulk).await?),
            OutboxCall::ReplayProgress { ids } => {
                let database = self.database()?;
                reply(&ids.into_iter().map(|id| database.progress(id)).collect::<Result<Vec<_>>>()?)
            }
            OutboxCall::Slots(want) => reply(&self.grant(&want)),
            OutboxCall::Reported { id } => {
                self.database()?.delete_report(id)?;
                reply(&Acknowledged {})
            }
            OutboxCall::Metrics {} => reply(&self.metrics()?),
            OutboxCall::Stats {} => reply(&self.stats()?),
            #[cfg(feature = "testing")]
            OutboxCall::LoseAlarm {} => {
                // Under its feet: the memory goes on believing in it.
                self.state.storage().delete_alarm().await?;
                reply(&Acknowledged {})
            }
            #[cfg(feature = "testing")]
            OutboxCall::Ring {} => {
                self.ring().await;
                reply(&Acknowledged {})
            }
            #[cfg(feature = "testing")]
            OutboxCall::Panic { in_alarm: false } => panic!("asked to panic in a call"),
            #[cfg(feature = "testing")]
            OutboxCall::Panic { in_alarm: true } => {
                self.panic_in_alarm.set(true);
                self.arm(ambient::now()).await?;
                reply(&Acknowledged {})
            }
        }
    }

    /// Does `work` in one transaction. When it fails, the memory is in doubt, too: see [`DoubtUnlessDone`].
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        atomically(&self.state.storage(), || {
            let done = work()?;
            self.save_counters()?;
            Ok(done)
        })
    }

    /// Stores the counters of the actions that something has happened to.
    fn save_counters(&self) -> Result<()> {
        let mut memory = self.memory.borrow_mut();
        for action in std::mem::take(&mut memory.uncounted) {
            self.database()?.save_counters(&action, &memory.ledger.account(&action).totals)?;
        }
        Ok(())
    }

    fn database(&self) -> Result<&Database> {
        self.database.as_ref().map_err(|error| worker::Error::from(error.clone()))
    }

    /// Rebuilds the memory at the first event after a start, and sees to it that open work has an alarm:
    /// one that was lost is found here. Calling it again does nothing.
    async fn wake_up(&self) -> Result<()> {
        if self.memory.borrow().loaded {
            return Ok(());
        }
        let armed = self.state.storage().get_alarm().await?;
        let armed = armed.map(|at| ambient::from_alarm(UnixMs(at.max(0) as u64)));
        let lost = armed.is_some_and(|at| at.plus_ms(LOST_ALARM_MS) < ambient::now());
        // Another event may have come here first while this one waited; loading twice is harmless.
        self.load(armed.filter(|_| !lost))?;
        self.take_up_once()?;
        if lost && self.next_wake(ambient::now())?.is_some() {
            // Not at the time when it should have rung: the runtime may think that it stands there.
            return self.arm(ambient::now()).await;
        }
        self.arm_for_open_work().await
    }

    /// Takes the memory anew from the rows. Nothing awaits in here, so it fits what the rows say.
    fn load(&self, armed: Option<UnixMs>) -> Result<()> {
        let database = self.database()?;
        let mut memory = Memory {
            loaded: true,
            home: database.meta("home")?.map(|text| serde_json::from_str(&text)).transpose()?,
            controls: database
                .meta("controls")?
                .map(|text| serde_json::from_str(&text))
                .transpose()?
                .unwrap_or_default(),
            untold: database
                .meta("untold")?
                .map(|text| serde_json::from_str(&text))
                .transpose()?
                .unwrap_or_default(),
            last_place: database.last_place()?,
            reporting: database.first_report()?.is_some(),
            replays: database.running_replays()?,
            advancing: database.first_advance()?.is_some(),
            armed,
            ..Memory::default()
        };
        for (action, totals) in database.counters()? {
            memory.ledger.account(&action).totals = totals;
        }
        for (lane, action, open) in database.open_counts()? {
            let account: &mut Account = memory.ledger.account(&action);
            match lane {
                0 => (account.scheduled, account.earliest_due) = (open, None),
                1 => account.in_flight = open,
                2 => account.held = open,
                3 => account.blocked = open,
                _ => account.set_aside = open,
            }
        }
        memory.ledger.accounts.values_mut().for_each(Account::catch_up);
        *self.memory.borrow_mut() = memory;
        Ok(())
    }

    /// An error came in the middle of something: what is in memory may not be what is in the rows.
    fn doubt(&self) {
        self.memory.borrow_mut().loaded = false;
    }

    /// Moves the alarm to `at`, if it isn't set to ring before. Call it with no await after the writes that
    /// need it: then rows and alarm are one commit.
    async fn arm(&self, at: UnixMs) -> Result<()> {
        {
            let mut memory = self.memory.borrow_mut();
            if memory.armed.is_some_and(|armed| armed <= at) {
                return Ok(());
            }
            memory.armed = Some(at);
        }
        self.set_alarm(at).await
    }

    async fn set_alarm(&self, at: UnixMs) -> Result<()> {
        let result = set_alarm(&self.state.storage(), at).await;
        if result.is_err() {
            self.doubt();
        }
        result
    }

    async fn arm_for_open_work(&self) -> Result<()> {
        match self.next_wake(ambient::now())? {
            Some(at) => self.arm(at).await,
            None => Ok(()),
        }
    }

    /// Stores a step of a delivery and keeps the ledger in step with it. A delivery of a paused action that
    /// would be scheduled is held instead.
    fn store_step(&self, row: &mut DeliveryRow, step: Step, settled: Settled<'_>, now: UnixMs) -> Result<()> {
        let database = self.database()?;
        let before = row.delivery.state.clone();
        if std::mem::take(&mut row.set_aside)
            && let Some(lane) = Lane::of(&before)
        {
            self.memory.borrow_mut().ledger.changed_lane(&row.action, Lane::SetAside, lane);
        }
        let paused = {
            let mut memory = self.memory.borrow_mut();
            memory.leased.remove(&row.id);
            memory.pause_reason(&row.action).is_some()
        };
        row.delivery = if paused { held(step.delivery, row, now) } else { step.delivery };
        let ended = step.effects.contains(&Effect::End);
        let mut attempted = false;
        let mut finale = ended.then_some(Finale { settled_at: now, attempt: None, outputs: settled.outputs });
        for effect in step.effects {
            match effect {
                Effect::RecordAttempt(end) => {
                    attempted = true;
                    self.attempted(row, &end, now)?;
                    let log = AttemptLog { end, response: settled.response };
                    match &mut finale {
                        Some(finale) => finale.attempt = Some(log),
                        None => database.insert_attempt(row.id, &log)?,
                    }
                }
                Effect::PauseAction { reason } => {
                    if self.pause_here(&row.action)? {
                        self.report(&Happening::ActionPaused { reason }, &row.action, now)?;
                    }
                }
                Effect::End => self.report_end(row, now)?,
            }
        }
        database.update_delivery(row.id, &row.delivery, finale.as_ref())?;
        let mut memory = self.memory.borrow_mut();
        memory.ledger.moved(&row.action, Some(&before), &row.delivery.state);
        if attempted || ended {
            memory.uncounted.insert(row.action.clone());
        }
        Ok(())
    }
}

/// What a settle brings besides its outcome.
#[derive(Debug, Clone, Copy, Default)]
struct Settled<'a> {
    response: Option<&'a RawValue>,
    outputs: Option<&'a RawValue>,
}

impl Memory {
    /// Why an action is paused: by the registry's word, or by a 410 seen here.
    fn pause_reason(&self, action: &str) -> Option<&str> {
        let gone_here = || self.untold.iter().any(|untold| &**untold == action).then_some("gone");
        self.controls.pause_reason(action).or_else(gone_here)
    }
}

/// The delivery held, where it would be scheduled.
fn held(delivery: Delivery, row: &DeliveryRow, now: UnixMs) -> Delivery {
    let at = varde_core::delivery::Circumstances { now, dice: 0.0, policy: &row.terms.retry };
    delivery.step(&Event::Hold, at).map_or(delivery, |step| step.delivery)
}

impl SettleReply {
    /// It didn't count, for this reason.
    fn ignored(reason: &str) -> Self {
        Self { ignored: Some(reason.to_owned()), work: None }
    }
}
