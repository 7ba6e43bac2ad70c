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
mod leases;
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
mod memory;
mod view;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::RefUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt as _;
use js_sys::{Function, Uint8Array};
use serde_json::value::RawValue;
use varde_core::delivery::{Delivery, Effect, Event, Step};
use varde_core::operations::Happening;
use varde_core::rate::Pacer;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use self::ledger::{Account, Lane};
use self::memory::Memory;
use self::protocol::{Acknowledged, OpenCount, OutboxCall, SettleReply};
use self::store::{AttemptLog, DeliveryRow, Finale};
use crate::ambient;
use crate::database::{Database, atomically, set_alarm};
use crate::objects::reply;
use crate::tasks::work_for;

/// Leases that one accept hands out and one sender takes: a Worker invocation has six connections.
pub const LEASES_PER_CALL: usize = 6;
/// Open leases of one action in one outbox: a kill can double at most that many.
pub const LEASES_PER_ACTION: u64 = 64;
/// Open deliveries of one outbox; beyond it, enrollments are refused until some have ended.
pub const OPEN_LIMIT: u64 = 500_000;
/// What the Durable Object remembers and does.
pub struct Outbox {
    state: State,
    env: Env,
    database: std::result::Result<Database, String>,
    memory: RefCell<Memory>,
    /// Where rate limits stand, in the shard that gives slots away. Apart from the memory: an error that puts
    /// that in doubt must not give slots away twice.
    pacers: RefCell<BTreeMap<Slug, Pacer>>,
    /// Up to where the rows that an earlier version set aside have been looked at; `None` when all were.
    looked_at: RefCell<Option<String>>,
    #[cfg(feature = "testing")]
    panic_in_alarm: std::cell::Cell<bool>,
}

/// The Durable Object, as the platform holds it.
#[durable_object]
pub struct OutboxObject(Rc<Outbox>);

impl DurableObject for OutboxObject {
    fn new(state: State, env: Env) -> Self {
        let database =
            Database::open(&state.storage(), &schema::MIGRATIONS).map_err(|error| error.to_string());
        Self(Rc::new(Outbox {
            state,
            env,
            database,
            memory: RefCell::default(),
            pacers: RefCell::default(),
            looked_at: RefCell::new(Some(String::new())),
            #[cfg(feature = "testing")]
            panic_in_alarm: std::cell::Cell::default(),
        }))
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let call: OutboxCall = serde_json::from_slice(&request.bytes().await?)?;
        self.0.surely(self.0.answer(call).boxed_local()).await
    }

    async fn alarm(&self) -> Result<Response> {
        self.0.ring().boxed_local().await;
        Response::empty()
    }
}

#[wasm_bindgen]
impl OutboxObject {
    /// The hot path: [`Outbox::take_turn`], by remote procedure calls, which cost less than requests.
    #[wasm_bindgen(js_name = takeTurn)]
    pub fn take_turn(&self, text: Vec<u8>, done: Function) {
        let outbox = Rc::clone(&self.0);
        work_for(done, async move {
            match outbox.surely(outbox.take_turn(&text)).await {
                Ok(replies) => Ok(Uint8Array::from(replies.as_slice()).into()),
                Err(error) => Err(JsError::new(&error.to_string()).into()),
            }
        });
    }
}

// A panic in the middle of a call leaves the memory in doubt, and the guard says so: it is rebuilt.
impl RefUnwindSafe for OutboxObject {}

/// Doubts the memory when it is dropped: on an error, and while a panic unwinds.
struct DoubtUnlessDone<'a>(&'a Outbox);

impl Drop for DoubtUnlessDone<'_> {
    fn drop(&mut self) {
        self.0.doubt();
    }
}

impl Outbox {
    /// Answers with a memory that fits the rows, and doubts it when that fails.
    async fn surely<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        self.wake_up().await?;
        let doubt = DoubtUnlessDone(self);
        let answer = answer.await?;
        std::mem::forget(doubt);
        Ok(answer)
    }

    async fn answer(&self, call: OutboxCall) -> Result<Response> {
        match call {
            OutboxCall::Return(given_back) => reply(&self.take_back(&given_back).await?),
            OutboxCall::Advance(advance) => reply(&self.advance(advance).await?),
            OutboxCall::Controls(controls) => reply(&self.take_controls(controls).await?),
            OutboxCall::OpenCount {} => {
                let open = self.memory.borrow().ledger.open() + self.database()?.advance_count()?;
                reply(&OpenCount { open })
            }
            OutboxCall::Check { home } => {
                // Nothing in memory is believed, the alarm's place least of all.
                self.doubt();
                self.wake_up().await?;
                if let Some(home) = home {
                    self.come_home(&home)?;
                }
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

    /// Does `work` in one transaction. What it has done to the memory before an error or a panic is undone, too.
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.memory.borrow().loaded {
            // Another call has put it in doubt while this one waited for something.
            self.recount()?;
        }
        let outcome = atomically(&self.state.storage(), || {
            let done = work()?;
            self.save_counters()?;
            Ok(done)
        });
        if outcome.is_err() {
            self.recount()?;
        }
        outcome
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
