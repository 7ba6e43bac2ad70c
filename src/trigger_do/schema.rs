//! The tables of a trigger's events.

/// Step `n` makes version `n + 1` out of version `n`. A released step is never edited; a later one only
/// adds.
///
/// `event` is a [`super::protocol::KeptEvent`] as JSON: 64 KiB of body, at most 6 bytes each, and 8 KiB of
/// headers are far below the 2 MB of a row.
pub const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        event TEXT NOT NULL
    );
"];
