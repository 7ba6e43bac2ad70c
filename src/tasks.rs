//! Futures on the way of every delivery, driven with few crossings.
//!
//! `wasm-bindgen-futures` makes a promise for each future, and two closures and a turn of the microtask queue for each
//! promise that it waits for. Here a future begins at once, a promise calls back by number, and whoever waits for it
//! goes on in that very call. What isn't on that way still uses `wasm-bindgen-futures`, also from within these tasks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Wake, Waker};

use futures_channel::oneshot;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use js_sys::{Function, Promise};
use varde_core::time::{SECOND_MS, UnixMs};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsError, JsValue};

use crate::{ambient, platform};

/// What a promise came to.
type Answer = Result<JsValue, JsValue>;

thread_local! {
    static TASKS: Tasks = Tasks::new();
}

/// Tasks run for some milliseconds at a time: those that ran longer were stopped.
const STOPPED_MS: u64 = 30 * SECOND_MS;

/// The runtime's clock, which no test puts ahead.
fn clock() -> UnixMs {
    ambient::for_alarm(ambient::now())
}

type Running = FuturesUnordered<LocalBoxFuture<'static, ()>>;

struct Tasks {
    /// All that have begun; `None` while somebody runs them.
    resting: RefCell<Option<Running>>,
    /// When they were taken out of there.
    taken_at: Cell<UnixMs>,
    /// Those that begin while others run.
    begun: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    waker: Waker,
    /// Whether a task may go on.
    woken: Cell<bool>,
    /// Whether a microtask will run them.
    scheduled: Cell<bool>,
    /// Who waits for a promise, by its number.
    waiting: RefCell<BTreeMap<u32, oneshot::Sender<Answer>>>,
    last_number: Cell<u32>,
    /// What promises call back with their numbers.
    answered: Closure<dyn FnMut(u32, bool, JsValue)>,
}

/// Wakes the tasks: the one who runs them sees it, or else they run in a microtask.
struct Woken;

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        TASKS.with(|tasks| {
            tasks.woken.set(true);
            if !tasks.are_running() && !tasks.scheduled.replace(true) {
                wasm_bindgen_futures::spawn_local(async { TASKS.with(|tasks| tasks.run(|| {})) });
            }
        });
    }
}

impl Tasks {
    fn new() -> Self {
        Self {
            resting: RefCell::new(Some(Running::new())),
            taken_at: Cell::new(UnixMs(0)),
            begun: RefCell::default(),
            waker: Waker::from(Arc::new(Woken)),
            woken: Cell::new(false),
            scheduled: Cell::new(false),
            waiting: RefCell::default(),
            last_number: Cell::new(0),
            answered: Closure::new(|number, kept, value| {
                TASKS.with(|tasks| tasks.answer(number, kept, value));
            }),
        }
    }

    /// Whether somebody runs the tasks, further down the stack. One that was stopped in the middle, by a limit of
    /// the platform, left them out, and they are gone.
    fn are_running(&self) -> bool {
        self.resting.borrow().is_none() && clock().since_ms(self.taken_at.get()) < STOPPED_MS
    }

    /// Does `first`, and runs what may go on; if somebody runs tasks already, they go on there.
    fn run(&self, first: impl FnOnce()) {
        if self.are_running() {
            return first();
        }
        self.taken_at.set(clock());
        // What may go on goes on now, whether or not that microtask comes.
        self.scheduled.set(false);
        let mut out = Out { running: self.resting.take().unwrap_or_default(), resting: &self.resting };
        first();
        let mut polling = Polling::from_waker(&self.waker);
        loop {
            self.woken.set(false);
            out.running.extend(self.begun.take());
            while let Poll::Ready(Some(())) = out.running.poll_next_unpin(&mut polling) {}
            if !self.woken.get() && self.begun.borrow().is_empty() {
                break;
            }
        }
    }

    fn answer(&self, number: u32, kept: bool, value: JsValue) {
        // Who waited may have given up.
        let Some(waiting) = self.waiting.borrow_mut().remove(&number) else { return };
        self.run(|| drop(waiting.send(if kept { Ok(value) } else { Err(value) })));
    }
}

/// Tasks that run. They rest again when this is dropped, also by an exception.
struct Out<'a> {
    running: Running,
    resting: &'a RefCell<Option<Running>>,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        *self.resting.borrow_mut() = Some(std::mem::take(&mut self.running));
    }
}

/// A promise that somebody waits for.
struct Awaited(u32);

impl Drop for Awaited {
    fn drop(&mut self) {
        TASKS.with(|tasks| tasks.waiting.borrow_mut().remove(&self.0));
    }
}

/// What a promise comes to.
///
/// # Errors
/// What it is broken with.
pub async fn answer_of(promise: &Promise) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let _awaited = TASKS.with(|tasks| {
        let number = tasks.last_number.get().wrapping_add(1);
        tasks.last_number.set(number);
        tasks.waiting.borrow_mut().insert(number, sender);
        platform::when(promise, number, tasks.answered.as_ref());
        Awaited(number)
    });
    receiver.await.unwrap_or_else(|_| Err(JsValue::from_str("a promise was forgotten")))
}

/// Begins work for a caller in JavaScript, who hears `(true, value)` or `(false, error)`. A panic ends this work,
/// and nothing else.
pub fn work_for(done: Function, work: impl Future<Output = Answer> + 'static) {
    let task = finish(done, work.boxed_local()).boxed_local();
    TASKS.with(|tasks| tasks.run(|| tasks.begun.borrow_mut().push(task)));
}

async fn finish(done: Function, work: LocalBoxFuture<'static, Answer>) {
    let (kept, value) = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(value)) => (true, value),
        Ok(Err(error)) => (false, error),
        // What it says has been printed.
        Err(_) => (false, JsError::new("panic").into()),
    };
    // It resolves or rejects a promise, and can't fail.
    drop(done.call2(&JsValue::NULL, &kept.into(), &value));
}

/// The context of an invocation.
#[derive(Debug, Clone)]
pub struct Context(JsValue);

impl From<JsValue> for Context {
    fn from(context: JsValue) -> Self {
        Self(context)
    }
}

impl Context {
    /// Begins work that goes on after the answer.
    pub fn wait_until(&self, work: impl Future<Output = ()> + 'static) {
        let done = platform::hold_open(&self.0);
        work_for(done, async {
            work.await;
            Ok(JsValue::UNDEFINED)
        });
    }
}
