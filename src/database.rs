//! A Durable Object's SQLite: migrations, statements, rows. Every statement is metered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
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
        let bindings = serde_json::to_string(&Value::Array(bindings))?;
        if metering::statement_fails(&bindings) {
            return Err(worker::Error::from("asked to fail"));
        }
        let rows = self.execute(sql, &bindings)?;
        Ok(rows.into_iter().map(|cells| Row { cells: cells.into_iter() }).collect())
    }

    #[cfg(not(feature = "testing"))]
    fn execute(&self, sql: &str, bindings: &str) -> worker::Result<Vec<Vec<Value>>> {
        match platform::execute(self.sql.as_ref(), sql, bindings)? {
            Some(rows) => Ok(serde_json::from_str(&rows)?),
            None => Ok(Vec::new()),
        }
    }

    #[cfg(feature = "testing")]
    fn execute(&self, sql: &str, bindings: &str) -> worker::Result<Vec<Vec<Value>>> {
        let counted = platform::execute_counted(self.sql.as_ref(), sql, bindings)?;
        let (read, written, rows) = serde_json::from_str(&counted)?;
        metering::sql(read, written);
        Ok(rows)
    }

    /// Runs a statement for its effect.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn run(&self, sql: &str, bindings: Vec<Value>) -> worker::Result<()> {
        self.rows(sql, bindings).map(drop)
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
    let mut state = (Some(work), None);
    let storage: &Transactional = storage.as_raw().unchecked_ref();
    // The outcome is written after the work, whatever becomes of that.
    let mut held = AssertUnwindSafe(&mut state);
    let transaction = storage.transaction_sync(&mut move || {
        let (work, outcome) = &mut **held;
        let work = work.take().ok_or_else(|| JsValue::from_str("the runtime ran a transaction twice"))?;
        // Nothing that the work has touched is looked at after a panic but what the caller rebuilds.
        let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(worker::Error::from("panic")));
        match done {
            Ok(value) => {
                *outcome = Some(Ok(value));
                Ok(JsValue::UNDEFINED)
            }
            Err(error) => {
                let thrown = JsValue::from_str(&error.to_string());
                *outcome = Some(Err(error));
                // The throw is what rolls it back.
                Err(thrown)
            }
        }
    });
    match (state.1, transaction) {
        (Some(Err(error)), _) => Err(error),
        (_, Err(error)) => Err(worker::Error::from(error)),
        (Some(Ok(value)), Ok(_)) => Ok(value),
        (None, Ok(_)) => Err(worker::Error::from("the runtime didn't run the transaction")),
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
