//! The inspector: the Durable Object behind one request bin. It keeps what arrives and says how to answer.
//!
//! State: the rows of `schema.rs`, and in `meta` the script and when the bin was made or told something;
//! nothing in memory. Invariants: an object that wasn't created writes nothing, whatever it is asked; a bin
//! has an alarm, and is gone 7 days after its last use; of a bin's contents, which are other people's
//! secrets, nothing gets into an error or a log.

pub mod protocol;
pub mod arrival;
pub mod script;
mod schema;

use serde::Serialize;
use serde_json::value::RawValue;
use varde_core::json;
use varde_core::time::{DAY_MS, MINUTE_MS, UnixMs};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use self::arrival::{Arrival, Recorded, RequestId};
use self::protocol::{Answer, InspectorCall};
use self::schema::MIGRATIONS;
use self::script::{Script, Standing};
use crate::ambient;
use crate::database::{Database, number, set_alarm};
use crate::log;
use crate::objects::reply;

/// Requests that a bin keeps; the oldest makes room for the newest.
pub const MAX_REQUESTS: u64 = 100;
/// How long a bin lives after it was made, called, or told how to answer. Looking at it doesn't count,
/// because a page that is left open would keep it for ever.
const LIFE_MS: u64 = 7 * DAY_MS;
/// When a bin is looked at again that should be gone and couldn't be deleted.
const SECOND_TRY_MS: u64 = 10 * MINUTE_MS;
/// Bytes of requests on one page: a hundred full texts fit, and an isolate's memory holds several pages.
const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// The Durable Object.
#[durable_object]
pub struct Inspector {
    state: State,
}

impl DurableObject for Inspector {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        // serde's own words may quote what they fail at.
        let call = serde_json::from_slice(&request.bytes().await?)
            .map_err(|_| worker::Error::from("a call to the inspector can't be read"))?;
        match call {
            InspectorCall::Create {} => reply(&self.create().await?),
            InspectorCall::Record(arrival) => reply(&self.record(arrival).await?),
            InspectorCall::Requests { before, limit } => reply(&self.requests(before, limit)?),
            InspectorCall::Script(script) => reply(&self.script(script)?),
            InspectorCall::Delete {} => reply(&self.delete().await?),
        }
    }

    /// Rings when the bin may have come to its end; early, late or twice is harmless.
    async fn alarm(&self) -> Result<Response> {
        if self.expire().await.is_err() {
            log::error("inspector_alarm_failed", &"a request bin couldn't be looked after");
            // If not even this works, the next request to the bin does it.
            let _ = self.arm(ambient::now().plus_ms(SECOND_TRY_MS)).await;
        }
        Response::empty()
    }
}

impl Inspector {
    /// Makes the bin. Doing it again changes nothing that matters.
    async fn create(&self) -> Result<bool> {
        let database = Database::open(&self.state.storage(), &MIGRATIONS)?;
        let now = ambient::now();
        touch(&database, now)?;
        self.arm(now.plus_ms(LIFE_MS)).await?;
        Ok(true)
    }

    /// Keeps a request, and says how to answer it.
    async fn record(&self, arrival: Arrival) -> Result<Option<Answer>> {
        let Some(database) = self.database()? else { return Ok(None) };
        let now = ambient::now();
        let id = RequestId(last_number(&database)? + 1);
        let answer = standing(&database)?.answer(id);
        let text = serde_json::to_string(&Recorded { id, at: now, arrival, answered: answer.status })?;
        let size = text.len();
        database.run(
            "INSERT INTO requests (number, at, size, request) VALUES (?, ?, ?, ?)",
            vec![number(id.0), number(now.0), number(size as u64), text.into()],
        )?;
        database
            .run("DELETE FROM requests WHERE number <= ?", vec![number(id.0.saturating_sub(MAX_REQUESTS))])?;
        // An alarm that the runtime has given up would leave the bin for ever.
        if self.state.storage().get_alarm().await?.is_none() {
            self.arm(now.plus_ms(LIFE_MS)).await?;
        }
        Ok(Some(answer))
    }

    /// One page of requests, newest first, as the API shows it.
    fn requests(&self, before: Option<RequestId>, limit: u64) -> Result<Option<Page>> {
        let Some(database) = self.database()? else { return Ok(None) };
        let before = before.map_or(last_number(&database)? + 1, |id| id.0);
        // One more than fits tells whether the list goes on.
        let rows = database.rows(
            "SELECT number, size FROM requests WHERE number < ? ORDER BY number DESC LIMIT ?",
            vec![number(before), number(limit + 1)],
        )?;
        let sizes =
            rows.into_iter().map(|mut row| Ok((row.number()?, row.number()?))).collect::<Result<Vec<_>>>()?;
        let on_page = page_length(&sizes, limit);
        let Some((last, _)) = on_page.checked_sub(1).map(|at| sizes[at]) else {
            return Ok(Some(Page::default()));
        };
        let rows = database.rows(
            "SELECT request FROM requests WHERE number < ? AND number >= ? ORDER BY number DESC",
            vec![number(before), number(last)],
        )?;
        let items =
            rows.into_iter().map(|mut row| Ok(RawValue::from_string(row.text()?)?)).collect::<Result<_>>()?;
        Ok(Some(Page { items, next_cursor: (on_page < sizes.len()).then_some(RequestId(last)) }))
    }

    /// Takes over a script: it counts from the next request on.
    fn script(&self, script: Script) -> Result<bool> {
        let Some(database) = self.database()? else { return Ok(false) };
        let standing = Standing { script, after: last_number(&database)? };
        database.set_meta("standing", &serde_json::to_string(&standing)?)?;
        touch(&database, ambient::now())?;
        Ok(true)
    }

    /// Deletes the bin with all that it holds, its alarm included.
    async fn delete(&self) -> Result<bool> {
        if self.database()?.is_none() {
            return Ok(false);
        }
        // Since the compatibility date 2026-02-24 the alarm goes with the rest. If it didn't: it finds
        // nothing and does nothing.
        self.state.storage().delete_all().await?;
        Ok(true)
    }

    /// Deletes the bin if its time has come, else sets the alarm anew.
    async fn expire(&self) -> Result<()> {
        let Some(database) = self.database()? else { return Ok(()) };
        let end = last_use(&database)?.plus_ms(LIFE_MS);
        if ambient::now() < end { self.arm(end).await } else { self.delete().await.map(drop) }
    }

    /// The database, if this bin was created.
    fn database(&self) -> Result<Option<Database>> {
        Database::open_existing(&self.state.storage(), &MIGRATIONS)
    }

    async fn arm(&self, at: UnixMs) -> Result<()> {
        set_alarm(&self.state.storage(), at).await
    }
}

/// `{"items", "next_cursor"}`.
#[derive(Default, Serialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<RequestId>,
}

/// How many of these requests, numbers with sizes, go on one page: at least one, so that a list gets on.
fn page_length(sizes: &[(u64, u64)], limit: u64) -> usize {
    let mut bytes = 0;
    let fitting = sizes.iter().take_while(|(_, size)| {
        bytes += size;
        bytes <= PAGE_BYTES
    });
    fitting.count().max(1).min(sizes.len()).min(limit as usize)
}

/// The number of the newest request. The newest is never dropped, so numbers aren't used twice.
fn last_number(database: &Database) -> Result<u64> {
    let rows = database.rows("SELECT MAX(number) FROM requests", vec![])?;
    rows.into_iter().next().map_or(Ok(0), |mut row| Ok(row.optional_number()?.unwrap_or(0)))
}

fn standing(database: &Database) -> Result<Standing> {
    let stored = database.meta("standing")?;
    Ok(stored.map(|text| json::from_text(&text)).transpose()?.unwrap_or_default())
}

fn touch(database: &Database, now: UnixMs) -> Result<()> {
    database.set_meta("touched_at", &now.0.to_string())
}

fn last_use(database: &Database) -> Result<UnixMs> {
    let rows = database.rows("SELECT at FROM requests ORDER BY number DESC LIMIT 1", vec![])?;
    let called = rows.into_iter().next().map_or(Ok(0), |mut row| row.number())?;
    let touched = database.meta("touched_at")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(UnixMs(called.max(touched)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_page_ends_at_its_limits() {
        let sizes =
            |each: u64, count: u64| -> Vec<(u64, u64)> { (0..count).map(|n| (count - n, each)).collect() };
        for (found, limit, expected) in [
            (sizes(100, 0), 100, 0),
            (sizes(100, 7), 100, 7),
            (sizes(100, 6), 5, 5),
            (sizes(70 * 1024, 101), 100, 100),
            (sizes(MIB, 20), 100, 8),
            (sizes(MIB + 1, 20), 100, 7),
            (sizes(9 * MIB, 20), 100, 1),
            (sizes(MIB, 20), 3, 3),
        ] {
            assert_eq!(page_length(&found, limit), expected, "{} of {:?}", found.len(), found.first());
        }
    }

    #[test]
    fn page_format_unchanged() {
        let item = RawValue::from_string(r#"{"id":"req_2"}"#.to_owned()).unwrap();
        for (page, pinned) in [
            (Page::default(), r#"{"items":[],"next_cursor":null}"#),
            (
                Page { items: vec![item], next_cursor: Some(RequestId(2)) },
                r#"{"items":[{"id":"req_2"}],"next_cursor":"req_2"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&page).unwrap(), pinned);
        }
    }
}
