//! The bin's tables.

/// Step `n` makes version `n + 1` out of version `n`. A released step is never edited; a later one only
/// adds.
///
/// `request` is a [`super::arrival::Recorded`] as JSON, `size` its length, so that a page can be cut to size
/// without reading what isn't on it. The largest row has a body of 64 KiB of control characters (6 bytes
/// each in JSON) and the 128 KiB of URL and headers that the runtime lets in: far below the 2 MB of a row.
pub const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        request TEXT NOT NULL
    );
"];
