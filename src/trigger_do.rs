//! The events of a trigger: the Durable Object that keeps the last ten, so that whoever maps them sees what
//! comes, and why something was refused. One object for each trigger: events never load the registry.
//!
//! State: the rows of `schema.rs`, and nothing in memory. Invariants: an object that was never told of an
//! event writes nothing; at most ten events, of either kind (taken, refused) half of them at the expense
//! of the other at most; one that is told so keeps of either kind at most one a second; whatever happens
//! to the trigger, its events are gone 30 days after the last one.

pub mod protocol;
mod schema;

use serde_json::value::RawValue;
use varde_core::inbound::keep::makes_room;
use varde_core::inbound::pace::Spacing;
use varde_core::time::{DAY_MS, MINUTE_MS, UnixMs};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use self::protocol::{EventId, Keep, Kept, KeptEvent, TriggerEventsCall};
use self::schema::MIGRATIONS;
use crate::ambient;
use crate::database::{Database, number, set_alarm};
use crate::log;
use crate::objects::reply;

/// How long events are kept after the last one: other people's data isn't to lie about for ever, not even
/// where a deletion died half-way.
const LIFE_MS: u64 = 30 * DAY_MS;
/// When events are looked at again that should be gone and couldn't be deleted.
const SECOND_TRY_MS: u64 = 10 * MINUTE_MS;

/// The Durable Object.
#[durable_object]
pub struct TriggerEvents {
    state: State,
}

impl DurableObject for TriggerEvents {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        // serde's own words may quote what they fail at.
        let call = serde_json::from_slice(&request.bytes().await?)
            .map_err(|_| worker::Error::from("a call about events can't be read"))?;
        match call {
            TriggerEventsCall::Keep(keep) => reply(&self.keep(keep).await?),
            TriggerEventsCall::List {} => reply(&self.list().await?),
            TriggerEventsCall::Forget {} => reply(&self.forget().await?),
        }
    }

    /// Rings when the events may have come to their end; early, late or twice is harmless.
    async fn alarm(&self) -> Result<Response> {
        if self.expire().await.is_err() {
            log::error("trigger_alarm_failed", &"a trigger's events couldn't be looked after");
            // If not even this works, the next event sets it.
            let _ = self.arm(ambient::now().plus_ms(SECOND_TRY_MS)).await;
        }
        Response::empty()
    }
}

impl TriggerEvents {
    async fn keep(&self, keep: Keep) -> Result<Kept> {
        let database = Database::open(&self.state.storage(), &MIGRATIONS)?;
        let now = ambient::now();
        let refused = keep.event.reason.is_some();
        if keep.spaced && !Spacing::since(last_of(&database, refused)?).pass(now) {
            return Ok(Kept { id: None });
        }
        let id = EventId(last_number(&database)? + 1);
        let event = serde_json::to_string(&KeptEvent { id, at: now, event: keep.event })?;
        database.run(
            "INSERT INTO events (number, at, refused, event) VALUES (?, ?, ?, ?)",
            vec![number(id.0), number(now.0), number(u64::from(refused)), event.into()],
        )?;
        make_room(&database)?;
        // An alarm that the runtime has given up would leave the events for ever.
        if self.state.storage().get_alarm().await?.is_none() {
            self.arm(now.plus_ms(LIFE_MS)).await?;
        }
        Ok(Kept { id: Some(id) })
    }

    /// Newest first, as the API shows them.
    async fn list(&self) -> Result<Vec<Box<RawValue>>> {
        let Some(database) = self.database()? else { return Ok(Vec::new()) };
        // The alarm may be late.
        if ambient::now() >= end_of(&database)? {
            self.forget().await?;
            return Ok(Vec::new());
        }
        let rows = database.rows("SELECT event FROM events ORDER BY number DESC", vec![])?;
        rows.into_iter().map(|mut row| Ok(RawValue::from_string(row.text()?)?)).collect()
    }

    /// Deletes all there is, the alarm included; says whether there was anything.
    async fn forget(&self) -> Result<bool> {
        if self.database()?.is_none() {
            return Ok(false);
        }
        self.state.storage().delete_all().await?;
        Ok(true)
    }

    /// Deletes the events if their time has come, else sets the alarm anew.
    async fn expire(&self) -> Result<()> {
        let Some(database) = self.database()? else { return Ok(()) };
        let end = end_of(&database)?;
        if ambient::now() < end { self.arm(end).await } else { self.forget().await.map(drop) }
    }

    /// The database, if there was ever an event.
    fn database(&self) -> Result<Option<Database>> {
        Database::open_existing(&self.state.storage(), &MIGRATIONS)
    }

    async fn arm(&self, at: UnixMs) -> Result<()> {
        set_alarm(&self.state.storage(), at).await
    }
}

fn make_room(database: &Database) -> Result<()> {
    let rows = database.rows("SELECT number, refused FROM events ORDER BY number", vec![])?;
    let kept = rows
        .into_iter()
        .map(|mut row| Ok((row.number()?, row.number()? != 0)))
        .collect::<Result<Vec<_>>>()?;
    let refused: Vec<bool> = kept.iter().map(|(_, refused)| *refused).collect();
    match makes_room(&refused).and_then(|at| kept.get(at)) {
        Some((oldest, _)) => {
            database.run("DELETE FROM events WHERE number = ?", vec![number(*oldest)]).map(drop)
        }
        None => Ok(()),
    }
}

/// When the events come to their end.
fn end_of(database: &Database) -> Result<UnixMs> {
    let rows = database.rows("SELECT MAX(at) FROM events", vec![])?;
    let last = rows.into_iter().next().map_or(Ok(None), |mut row| row.optional_number())?;
    Ok(UnixMs(last.unwrap_or(0)).plus_ms(LIFE_MS))
}

/// When the last event of a kind was kept.
fn last_of(database: &Database, refused: bool) -> Result<Option<UnixMs>> {
    let rows =
        database.rows("SELECT MAX(at) FROM events WHERE refused = ?", vec![number(u64::from(refused))])?;
    let last = rows.into_iter().next().map_or(Ok(None), |mut row| row.optional_number())?;
    Ok(last.map(UnixMs))
}

/// The number of the newest event. The newest never makes room, so numbers aren't used twice.
fn last_number(database: &Database) -> Result<u64> {
    let rows = database.rows("SELECT MAX(number) FROM events", vec![])?;
    rows.into_iter().next().map_or(Ok(0), |mut row| Ok(row.optional_number()?.unwrap_or(0)))
}
