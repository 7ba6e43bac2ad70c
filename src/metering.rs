//! What a delivery costs, counted for the tests: calls to Durable Objects, rows written, rows read.
//! And faults to order: the statement that is to fail, a registry out of
//! reach, a clock that jumps. Without the feature `testing` nothing is counted and nothing is compiled in.

#[cfg(feature = "testing")]
pub use counting::*;

/// Whether the statement that is about to run is to fail.
#[cfg(not(feature = "testing"))]
pub const fn statement_fails() -> bool {
    false
}

/// Whether the registry is to be out of reach.
#[cfg(not(feature = "testing"))]
pub const fn registry_is_down() -> bool {
    false
}

/// How far the Worker's clock is ahead of the machine's.
#[cfg(not(feature = "testing"))]
pub const fn ahead_ms() -> u64 {
    0
}

/// Whether the outboxes are to be out of reach.
#[cfg(not(feature = "testing"))]
pub const fn outbox_is_down() -> bool {
    false
}

/// Counts a call to a Durable Object.
#[cfg(not(feature = "testing"))]
pub const fn object_call() {}

/// A look for due deliveries begins.
#[cfg(not(feature = "testing"))]
pub const fn begin_take() {}

/// A look for due deliveries has found this many.
#[cfg(not(feature = "testing"))]
pub const fn end_take(_found: usize) {}

#[cfg(feature = "testing")]
mod counting {
    use std::cell::Cell;

    /// Counters of this isolate since it started.
    #[derive(Debug, Clone, Copy, Default, serde::Serialize)]
    pub struct Counters {
        /// Calls to Durable Objects.
        pub object_calls: u64,
        /// Rows written, index entries included, as the platform bills them.
        pub rows_written: u64,
        /// Rows read.
        pub rows_read: u64,
        /// Rows read by the last look for due deliveries.
        pub rows_read_by_take: u64,
        /// Due deliveries that it found.
        pub taken: u64,
        #[serde(skip)]
        read_before_take: u64,
    }

    thread_local! {
        static COUNTERS: Cell<Counters> = const { Cell::new(Counters {
            object_calls: 0, rows_written: 0, rows_read: 0, rows_read_by_take: 0, taken: 0, read_before_take: 0,
        }) };
    }

    thread_local! {
        static STATEMENTS_UNTIL_FAULT: Cell<u32> = const { Cell::new(0) };
        static REGISTRY_IS_DOWN: Cell<bool> = const { Cell::new(false) };
        static OUTBOX_IS_DOWN: Cell<bool> = const { Cell::new(false) };
        static AHEAD_MS: Cell<u64> = const { Cell::new(0) };
    }

    /// Lets the Worker's clock jump.
    pub fn put_clock_ahead(ms: u64) {
        AHEAD_MS.set(ms);
    }

    /// How far the Worker's clock is ahead of the machine's.
    pub fn ahead_ms() -> u64 {
        AHEAD_MS.get()
    }

    /// Takes the registry out of reach, or brings it back.
    pub fn take_registry_down(down: bool) {
        REGISTRY_IS_DOWN.set(down);
    }

    /// Whether the registry is to be out of reach.
    pub fn registry_is_down() -> bool {
        REGISTRY_IS_DOWN.get()
    }

    /// Takes the outboxes out of reach, or back.
    pub fn take_outbox_down(down: bool) {
        OUTBOX_IS_DOWN.set(down);
    }

    /// Whether the outboxes are to be out of reach.
    pub fn outbox_is_down() -> bool {
        OUTBOX_IS_DOWN.get()
    }

    /// Orders a fault: the `n`th statement from now on fails, once. 0 takes the order back.
    pub fn fail_statement(n: u32) {
        STATEMENTS_UNTIL_FAULT.set(n);
    }

    /// Whether the statement that is about to run is to fail.
    pub fn statement_fails() -> bool {
        let left = STATEMENTS_UNTIL_FAULT.get();
        STATEMENTS_UNTIL_FAULT.set(left.saturating_sub(1));
        left == 1
    }

    /// Statements that still run before the fault; 0 when it has come.
    pub fn until_fault() -> u32 {
        STATEMENTS_UNTIL_FAULT.get()
    }

    fn count(change: impl FnOnce(&mut Counters)) {
        let mut counters = COUNTERS.get();
        change(&mut counters);
        COUNTERS.set(counters);
    }

    /// Counts a call to a Durable Object.
    pub fn object_call() {
        count(|counters| counters.object_calls += 1);
    }

    /// Counts what a statement read and wrote.
    pub fn sql(read: u64, written: u64) {
        count(|counters| {
            counters.rows_read += read;
            counters.rows_written += written;
        });
    }

    /// A look for due deliveries begins.
    pub fn begin_take() {
        count(|counters| counters.read_before_take = counters.rows_read);
    }

    /// A look for due deliveries has found this many.
    pub fn end_take(found: usize) {
        count(|counters| {
            counters.rows_read_by_take = counters.rows_read - counters.read_before_take;
            counters.taken = found as u64;
        });
    }

    /// The counters as they are.
    pub fn counters() -> Counters {
        COUNTERS.get()
    }
}
