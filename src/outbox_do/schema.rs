//! The outbox's tables.

/// Step `n` makes version `n + 1` out of version `n`. A released step is never edited; a later one only
/// adds.
///
/// Rows and columns are counted, because the platform bills by rows written, index entries included:
/// a delivery that arrives at its first attempt writes one delivery and one entry of `deliveries_open`, then the
/// delivery, the entry and one counter: five. `place` is only set where records keep their order; such a
/// delivery writes two entries of `deliveries_line` more.
///
/// From version 3 on an enrollment lives in the row of its first delivery, `input` included, and has a row in
/// `enrollments` only when there is more to tell; the `input` of such a row is empty.
pub const MIGRATIONS: [&str; 3] = [
    "
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
",
    "
    ALTER TABLE deliveries ADD COLUMN place INTEGER;
    ALTER TABLE deliveries ADD COLUMN replay TEXT;
    ALTER TABLE deliveries ADD COLUMN replayed_by TEXT;
    CREATE INDEX deliveries_line ON deliveries (action, record, place)
        WHERE place IS NOT NULL AND lane IS NOT NULL;

    CREATE TABLE replays (
        id TEXT PRIMARY KEY,
        progress TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE reports (
        id TEXT PRIMARY KEY,
        input TEXT NOT NULL,
        due INTEGER NOT NULL
    ) WITHOUT ROWID;
",
    "
    ALTER TABLE deliveries ADD COLUMN input TEXT;
",
];
