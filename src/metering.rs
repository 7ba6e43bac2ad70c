//! What a delivery costs, counted for the tests: calls to Durable Objects, rows written, rows read.
//! And faults to order: the statement that is to fail, a registry out of
//! reach, a clock that jumps. Without the feature `testing` nothing is counted and nothing is compiled in.

#[cfg(feature = "testing")]
pub use counting::*;

/// Whether the statement that is about to run is to fail.
#[cfg(not(feature = "testing"))]
pub const fn statement_fails(_bindings: &str) -> bool {
    false
}

/// Whether the registry is to be out of reach.
#[cfg(not(feature = "testing"))]
#[expect(clippy::unused_async, reason = "it waits where a test wants a registry that hangs")]
pub async fn registry_is_down() -> bool {
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

/// Waits where the shard that gives slots away is to be silent.
#[cfg(not(feature = "testing"))]
#[expect(clippy::unused_async, reason = "it waits where a test wants that")]
pub async fn slots_are_awaited() {}

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
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use worker::Delay;

    /// How long one that is silent is waited for.
    const SILENCE: Duration = Duration::from_mins(1);

    /// What the registry is to be.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Reach {
        Up,
        Down,
        /// It answers after so long.
        Slow(Duration),
    }

    /// What becomes of a statement that is to fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Fault {
        Error,
        Panic,
    }

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
        static FAULT: Cell<Fault> = const { Cell::new(Fault::Error) };
        static FAULT_ABOUT: RefCell<Option<String>> = const { RefCell::new(None) };
        static REGISTRY: Cell<Reach> = const { Cell::new(Reach::Up) };
        static OUTBOX_IS_DOWN: Cell<bool> = const { Cell::new(false) };
        static SLOTS_ARE_SILENT: Cell<bool> = const { Cell::new(false) };
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
    pub fn put_registry(reach: Reach) {
        REGISTRY.set(reach);
    }

    /// Whether the registry is to be out of reach.
    pub async fn registry_is_down() -> bool {
        if let Reach::Slow(delay) = REGISTRY.get() {
            Delay::from(delay).await;
        }
        REGISTRY.get() == Reach::Down
    }

    /// Takes the outboxes out of reach, or back.
    pub fn take_outbox_down(down: bool) {
        OUTBOX_IS_DOWN.set(down);
    }

    /// Whether whoever asks for slots gets no answer.
    pub fn silence_slots(silent: bool) {
        SLOTS_ARE_SILENT.set(silent);
    }

    /// Waits where the shard that gives slots away is to be silent.
    pub async fn slots_are_awaited() {
        if SLOTS_ARE_SILENT.get() {
            Delay::from(SILENCE).await;
        }
    }

    /// Whether the outboxes are to be out of reach.
    pub fn outbox_is_down() -> bool {
        OUTBOX_IS_DOWN.get()
    }

    /// Orders a fault: the `n`th statement from now on fails, once; every statement, with a text among its
    /// values. 0 and `None` take the order back.
    pub fn fail_statement(n: u32, about: Option<String>, fault: Fault) {
        STATEMENTS_UNTIL_FAULT.set(n);
        FAULT_ABOUT.set(about);
        FAULT.set(fault);
    }

    /// Whether the statement that is about to run is to fail.
    pub fn statement_fails(bindings: &str) -> bool {
        let left = STATEMENTS_UNTIL_FAULT.get();
        STATEMENTS_UNTIL_FAULT.set(left.saturating_sub(1));
        let about =
            FAULT_ABOUT.with_borrow(|about| about.as_ref().is_some_and(|text| bindings.contains(text)));
        let fails = left == 1 || about;
        assert!(!fails || FAULT.get() == Fault::Error, "asked to panic in a statement");
        fails
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
