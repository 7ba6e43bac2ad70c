//! A Durable Object's SQLite: migrations, statements, rows. Every statement is metered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use varde_core::json;
use varde_core::time::UnixMs;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{ScheduledTime, SqlStorage, Storage};

use crate::{ambient, metering, platform};

/// The database, with every statement metered.
#[derive(Debug, Clone)]
pub struct Database {
    sql: SqlStorage,
}

impl Database {
    /// Opens the object's database and brings it up to date: step `n` of `migrations` makes version `n + 1`
    /// out of version `n`. A database of a newer version is left as it is: newer schemas only ever add, so
    /// that the older code goes on after a rollback.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn open(storage: &Storage, migrations: &[&str]) -> worker::Result<Self> {
        let database = Self { sql: storage.sql() };
        atomically(storage, || database.migrate(migrations))?;
        Ok(database)
    }

    /// All steps or none, each with its number: one that was done and not counted would be done again.
    fn migrate(&self, migrations: &[&str]) -> worker::Result<()> {
        self.run(
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
            vec![],
        )?;
        let found: usize = match self.meta("schema_version")? {
            Some(text) => text.parse().map_err(|_| worker::Error::from("schema_version is not a number"))?,
            None => 0,
        };
        for (at, migration) in migrations.iter().enumerate().skip(found) {
            self.run(migration, vec![])?;
            self.set_meta("schema_version", &(at + 1).to_string())?;
        }
        Ok(())
    }

    /// Opens the object's database as [`Database::open`] does, if there is one. Otherwise nothing is written,
    /// so that asking an object that was never used leaves no trace.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn open_existing(storage: &Storage, migrations: &[&str]) -> worker::Result<Option<Self>> {
        let unopened = Self { sql: storage.sql() };
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'meta'";
        if unopened.rows(tables, vec![])?.is_empty() {
            return Ok(None);
        }
        Self::open(storage, migrations).map(Some)
    }

    /// Runs a statement that gives rows back.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn rows(&self, sql: &str, bindings: Vec<Value>) -> worker::Result<Vec<Row>> {
        let rows = self.execute(sql, &Bound::to(bindings)?)?;
        Ok(rows.into_iter().map(|cells| Row { cells: cells.into_iter() }).collect())
    }

    #[cfg(not(feature = "testing"))]
    fn execute(&self, sql: &str, bound: &Bound) -> worker::Result<Vec<Vec<Value>>> {
        match platform::execute(self.sql.as_ref(), sql, &bound.text, bound.texts)? {
            Some(rows) => Ok(json::from_text(&rows)?),
            None => Ok(Vec::new()),
        }
    }

    #[cfg(feature = "testing")]
    fn execute(&self, sql: &str, bound: &Bound) -> worker::Result<Vec<Vec<Value>>> {
        let counted = platform::execute_counted(self.sql.as_ref(), sql, &bound.text, bound.texts)?;
        let (read, written, rows) = json::from_text(&counted)?;
        metering::sql(read, written);
        Ok(rows)
    }

    /// Runs a statement for its effect.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn run(&self, sql: &str, bindings: Vec<Value>) -> worker::Result<()> {
        self.writes(sql, bindings).map(drop)
    }

    /// Runs a statement for its effect: whether it had one.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn writes(&self, sql: &str, bindings: Vec<Value>) -> worker::Result<bool> {
        Ok(self.write(sql, &Bound::to(bindings)?)? > 0)
    }

    #[cfg(not(feature = "testing"))]
    fn write(&self, sql: &str, bound: &Bound) -> worker::Result<u32> {
        Ok(platform::write(self.sql.as_ref(), sql, &bound.text, bound.texts)?)
    }

    #[cfg(feature = "testing")]
    fn write(&self, sql: &str, bound: &Bound) -> worker::Result<u64> {
        let counted = platform::execute_counted(self.sql.as_ref(), sql, &bound.text, bound.texts)?;
        let (read, written, _): (_, _, Value) = json::from_text(&counted)?;
        metering::sql(read, written);
        Ok(written)
    }

    /// A value of the `meta` table.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn meta(&self, key: &str) -> worker::Result<Option<String>> {
        let rows = self.rows("SELECT value FROM meta WHERE key = ?", vec![key.into()])?;
        rows.into_iter().next().map(|mut row| row.text()).transpose()
    }

    /// Sets a value of the `meta` table.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn set_meta(&self, key: &str, value: &str) -> worker::Result<()> {
        self.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", vec![key.into(), value.into()])
    }
}

/// What a statement is bound to, as `platform.mjs` reads it: long texts as they are, and behind them the cells as a
/// JSON array, in which `[length]` stands for the next one of them.
struct Bound {
    text: String,
    /// Length of all the texts together, in UTF-16.
    texts: u32,
}

/// Shorter ones cost less within the array.
const LONG_TEXT_BYTES: usize = 100;

impl Bound {
    fn to(bindings: Vec<Value>) -> worker::Result<Self> {
        let mut bound = Self { text: String::new(), texts: 0 };
        let cells = bindings.into_iter().map(|cell| bound.take_out(cell)).collect();
        bound.text += &serde_json::to_string(&Value::Array(cells))?;
        if metering::statement_fails(&bound.text) {
            return Err(worker::Error::from("asked to fail"));
        }
        Ok(bound)
    }

    fn take_out(&mut self, cell: Value) -> Value {
        match cell {
            Value::String(text) if text.len() >= LONG_TEXT_BYTES => {
                let length =
                    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() };
                self.texts += length as u32;
                self.text += &text;
                Value::Array(vec![length.into()])
            }
            other => other,
        }
    }
}

/// A number for SQLite; beyond 2^53 JavaScript, which it passes through, can't count, and a time is never.
pub fn number(number: u64) -> Value {
    const EXACT: u64 = (1 << 53) - 1;
    Value::from(number.min(EXACT))
}

/// One row, read cell by cell in the order of the SELECT.
#[derive(Debug)]
pub struct Row {
    cells: std::vec::IntoIter<Value>,
}

impl Row {
    /// The next cell, a text.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn text(&mut self) -> worker::Result<String> {
        self.optional_text()?.ok_or_else(|| worker::Error::from("expected a text, found NULL"))
    }

    /// The next cell, a text or NULL.
    ///
    /// # Errors
    /// When it is something else.
    pub fn optional_text(&mut self) -> worker::Result<Option<String>> {
        match self.cells.next() {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            other => Err(unexpected("a text", other.as_ref())),
        }
    }

    /// The next cell, a number or NULL.
    ///
    /// # Errors
    /// When it is something else.
    pub fn optional_number(&mut self) -> worker::Result<Option<u64>> {
        match self.cells.next() {
            Some(Value::Number(number)) => {
                Ok(Some(number.as_u64().unwrap_or_else(|| number.as_f64().unwrap_or_default() as u64)))
            }
            Some(Value::Null) => Ok(None),
            other => Err(unexpected("a number", other.as_ref())),
        }
    }

    /// The next cell, a number.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn number(&mut self) -> worker::Result<u64> {
        self.optional_number()?.ok_or_else(|| worker::Error::from("expected a number, found NULL"))
    }
}

fn unexpected(wanted: &str, found: Option<&Value>) -> worker::Error {
    let found = found.map_or_else(|| "no cell".to_owned(), Value::to_string);
    worker::Error::from(format!("expected {wanted}, found {found}"))
}

/// Sets an object's alarm.
///
/// # Errors
/// When the runtime refuses it.
pub async fn set_alarm(storage: &Storage, at: UnixMs) -> worker::Result<()> {
    let date = js_sys::Date::new(&(ambient::for_alarm(at).0 as f64).into());
    storage.set_alarm(ScheduledTime::new(date)).await
}

#[wasm_bindgen]
extern "C" {
    /// A Durable Object's storage, for the one call that the bindings lack.
    type Transactional;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Transactional,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// Does `work` whole or not at all: on an error or a panic none of its writes stay. Without this, writes
/// made before an error are committed.
///
/// # Errors
/// `work`'s own, or the transaction's. A panic is an error, too, so that it goes no further than what it spoils.
pub fn atomically<T>(storage: &Storage, work: impl FnOnce() -> worker::Result<T>) -> worker::Result<T> {
    let (mut work, mut value) = (Some(work), None);
    in_transaction(storage, &mut || {
        let work = work.take().ok_or_else(|| worker::Error::from("the runtime ran a transaction twice"))?;
        value = Some(work()?);
        Ok(())
    })?;
    value.ok_or_else(|| worker::Error::from("the runtime didn't run the transaction"))
}

/// All of [`atomically`] that doesn't depend on what the work gives.
fn in_transaction(storage: &Storage, work: &mut dyn FnMut() -> worker::Result<()>) -> worker::Result<()> {
    let mut failure = None;
    let storage: &Transactional = storage.as_raw().unchecked_ref();
    // What failed is written down after the work, whatever becomes of that.
    let mut held = AssertUnwindSafe((work, &mut failure));
    let transaction = storage.transaction_sync(&mut move || {
        let (work, failure) = &mut *held;
        // Nothing that the work has touched is looked at after a panic but what the caller rebuilds.
        let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(worker::Error::from("panic")));
        done.map(|()| JsValue::UNDEFINED).map_err(|error| {
            let thrown = JsValue::from_str(&error.to_string());
            **failure = Some(error);
            // The throw is what rolls it back.
            thrown
        })
    });
    match failure {
        Some(error) => Err(error),
        None => transaction.map(drop).map_err(worker::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_one_for_javascript() {
        assert_eq!((number(5), number(u64::MAX)), (json!(5), json!(9_007_199_254_740_991_u64)));
    }

    #[test]
    fn long_texts_stand_before_the_array() {
        let (ascii, wide) = ("\"".repeat(LONG_TEXT_BYTES), "é🏔".repeat(LONG_TEXT_BYTES));
        let bound = Bound::to(vec![json!(1), json!(ascii), json!("\"é"), json!(null), json!(wide)]).unwrap();
        assert_eq!(bound.text, format!("{ascii}{wide}[1,[100],\"\\\"é\",null,[300]]"));
        assert_eq!(bound.texts, 400);
        let bound = Bound::to(vec![json!("a")]).unwrap();
        assert_eq!((bound.text.as_str(), bound.texts), ("[\"a\"]", 0));
    }

    #[test]
    fn a_row_is_read_cell_by_cell() {
        let row =
            |cells: Value| Row { cells: serde_json::from_value::<Vec<Value>>(cells).unwrap().into_iter() };
        let mut good = row(json!(["a", null, 7, 7.0, null]));
        assert_eq!(good.text().unwrap(), "a");
        assert_eq!(good.optional_text().unwrap(), None);
        assert_eq!((good.number().unwrap(), good.number().unwrap()), (7, 7));
        assert_eq!(good.optional_number().unwrap(), None);
        for (cells, text) in [
            (json!([null]), "expected a text, found NULL"),
            (json!([7]), "expected a text, found 7"),
            (json!([]), "expected a text, found no cell"),
        ] {
            assert_eq!(row(cells).text().unwrap_err().to_string(), text);
        }
        assert_eq!(row(json!(["x"])).number().unwrap_err().to_string(), "expected a number, found \"x\"");
    }
}
