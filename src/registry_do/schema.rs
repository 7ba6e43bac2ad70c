//! The registry's tables.

/// Step `n` makes version `n + 1` out of version `n`. A released step is never edited; a later one only
/// adds.
///
/// `revision` is the registry's revision at the row's last change; for a workflow also at that of a secret
/// it names. `outboxes` stays behind when a workflow is deleted, until its `tombstones` entry has aged: the
/// sweep looks after cancellations that are under way. `triggers` go with their workflow, which they name by
/// its uid; `number` is their order.
pub const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE workflows (
        slug TEXT PRIMARY KEY,
        uid TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        doc TEXT NOT NULL,
        outline TEXT NOT NULL,
        controls TEXT NOT NULL,
        closing TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    );
    CREATE INDEX workflows_closing ON workflows (slug) WHERE closing IS NOT NULL;

    CREATE TABLE tombstones (
        uid TEXT PRIMARY KEY,
        controls TEXT NOT NULL,
        deleted_at INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE outboxes (
        uid TEXT NOT NULL,
        shard INTEGER NOT NULL,
        slug TEXT NOT NULL,
        PRIMARY KEY (uid, shard)
    ) WITHOUT ROWID;

    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        stored TEXT NOT NULL,
        changes_at INTEGER
    ) WITHOUT ROWID;

    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,
        name TEXT,
        scopes TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE replays (
        uid TEXT NOT NULL,
        id TEXT NOT NULL,
        bulk TEXT NOT NULL,
        shards TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (uid, id)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE triggers (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        uid TEXT NOT NULL,
        revision INTEGER NOT NULL,
        doc TEXT NOT NULL,
        secret TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    );
    CREATE INDEX triggers_uid ON triggers (uid, number);
",
];
