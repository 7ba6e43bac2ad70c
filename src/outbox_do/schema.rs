//! The outbox's tables, and how an older version's become this version's.

use worker::{SqlCursor, SqlStorage, SqlStorageValue};

use crate::metering;

/// Version of the schema below; counted up with every step in [`MIGRATIONS`].
pub const VERSION: usize = MIGRATIONS.len();

/// Step `n` makes version `n + 1` out of version `n`. A released step is never edited.
///
/// Rows and columns are counted, because the platform bills by rows written, index entries included:
/// a delivery that arrives at its first attempt writes one enrollment, one delivery, one entry of
/// `deliveries_open`, then the delivery, the entry and one counter: six.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE enrollments (
        id TEXT PRIMARY KEY,
        record TEXT NOT NULL,
        input TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        course TEXT,
        next_due INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX enrollments_next ON enrollments (next_due) WHERE next_due IS NOT NULL;

    CREATE TABLE deliveries (
        id TEXT PRIMARY KEY,
        enrollment TEXT NOT NULL,
        action TEXT NOT NULL,
        record TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        lane INTEGER,
        wakes_at INTEGER,
        state TEXT NOT NULL,
        finale TEXT,
        terms TEXT NOT NULL,
        request TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX deliveries_open ON deliveries (lane, action, wakes_at) WHERE lane IS NOT NULL;

    CREATE TABLE attempts (
        delivery TEXT NOT NULL,
        number INTEGER NOT NULL,
        log TEXT NOT NULL,
        PRIMARY KEY (delivery, number)
    ) WITHOUT ROWID;

    CREATE TABLE counters (
        action TEXT PRIMARY KEY,
        counts TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE idempotency (
        key TEXT PRIMARY KEY,
        body_hash TEXT NOT NULL,
        enrollment TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX idempotency_expiry ON idempotency (expires_at);
"];

/// The database, with every statement metered.
#[derive(Debug, Clone)]
pub struct Database {
    sql: SqlStorage,
}

impl Database {
    /// Opens the object's database and brings it to [`VERSION`].
    ///
    /// # Errors
    /// When a statement fails, or the database was written by a newer version.
    pub fn open(sql: SqlStorage) -> worker::Result<Self> {
        let database = Self { sql };
        database.run("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID", vec![])?;
        let found: usize = match database.meta("schema_version")? {
            Some(text) => text.parse().map_err(|_| worker::Error::from("schema_version is not a number"))?,
            None => 0,
        };
        // A newer schema only ever adds: after a rollback by one version the older code goes on.
        for (at, migration) in MIGRATIONS.iter().enumerate().skip(found) {
            database.run(migration, vec![])?;
            database.set_meta("schema_version", &(at + 1).to_string())?;
        }
        Ok(database)
    }

    /// Runs a statement that gives rows back.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn rows(&self, sql: &str, bindings: Vec<SqlStorageValue>) -> worker::Result<Vec<Row>> {
        let cursor = self.sql.exec(sql, bindings)?;
        let rows = cursor.raw().map(|row| row.map(|cells| Row { cells: cells.into_iter() })).collect();
        metering::sql(&cursor);
        rows
    }

    /// Runs a statement for its effect.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn run(&self, sql: &str, bindings: Vec<SqlStorageValue>) -> worker::Result<SqlCursor> {
        let cursor = self.sql.exec(sql, bindings)?;
        metering::sql(&cursor);
        Ok(cursor)
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
        self.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", vec![key.into(), value.into()]).map(drop)
    }
}

/// One row, read cell by cell in the order of the SELECT.
#[derive(Debug)]
pub struct Row {
    cells: std::vec::IntoIter<SqlStorageValue>,
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
            Some(SqlStorageValue::String(text)) => Ok(Some(text)),
            Some(SqlStorageValue::Null) => Ok(None),
            other => Err(worker::Error::from(format!("expected a text, found {other:?}"))),
        }
    }

    /// The next cell, a number or NULL.
    ///
    /// # Errors
    /// When it is something else.
    pub fn optional_number(&mut self) -> worker::Result<Option<u64>> {
        match self.cells.next() {
            Some(SqlStorageValue::Integer(number)) => Ok(Some(u64::try_from(number).unwrap_or(0))),
            Some(SqlStorageValue::Float(number)) => Ok(Some(number as u64)),
            Some(SqlStorageValue::Null) => Ok(None),
            other => Err(worker::Error::from(format!("expected a number, found {other:?}"))),
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
