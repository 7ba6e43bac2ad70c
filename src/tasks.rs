//! Futures on the way of every delivery, driven with few crossings.
//!
//! `wasm-bindgen-futures` makes a promise for each future, two closures and a turn of the microtask queue for each
//! promise that it waits for: together a fifth of what a delivery costs. Here a future begins at once, a promise
//! calls back by number, and whoever waits for it goes on in that very call.

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
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsError, JsValue};

use crate::platform;

/// What a promise came to.
type Answer = Result<JsValue, JsValue>;

thread_local! {
    static TASKS: Tasks = Tasks::new();
}

struct Tasks {
    running: RefCell<FuturesUnordered<LocalBoxFuture<'static, ()>>>,
    /// Those that begin while others run.
    begun: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    waker: Waker,
    /// Whether somebody runs tasks, further down the stack.
    at_work: Cell<bool>,
    /// Whether a task may go on.
    woken: Cell<bool>,
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
        let runs = TASKS.with(|tasks| tasks.woken.replace(true) || tasks.at_work.get());
        if !runs {
            wasm_bindgen_futures::spawn_local(async { TASKS.with(Tasks::run) });
        }
    }
}

impl Tasks {
    fn new() -> Self {
        Self {
            running: RefCell::default(),
            begun: RefCell::default(),
            waker: Waker::from(Arc::new(Woken)),
            at_work: Cell::new(false),
            woken: Cell::new(false),
            waiting: RefCell::default(),
            last_number: Cell::new(0),
            answered: Closure::new(|number, kept, value| {
                TASKS.with(|tasks| tasks.answer(number, kept, value));
            }),
        }
    }

    /// Runs what may go on, unless somebody does already.
    fn run(&self) {
        let Some(_at_work) = AtWork::begin(&self.at_work) else { return };
        let mut polling = Polling::from_waker(&self.waker);
        loop {
            self.woken.set(false);
            let mut running = self.running.borrow_mut();
            running.extend(self.begun.take());
            while let Poll::Ready(Some(())) = running.poll_next_unpin(&mut polling) {}
            if !self.woken.get() && self.begun.borrow().is_empty() {
                break;
            }
        }
    }

    fn answer(&self, number: u32, kept: bool, value: JsValue) {
        // Who waited may have given up.
        let Some(waiting) = self.waiting.borrow_mut().remove(&number) else { return };
        {
            // Waking somebody is no reason for a microtask: it runs now.
            let _at_work = AtWork::begin(&self.at_work);
            drop(waiting.send(if kept { Ok(value) } else { Err(value) }));
        }
        self.run();
    }
}

/// Somebody runs tasks, until this is dropped.
struct AtWork<'a>(&'a Cell<bool>);

impl<'a> AtWork<'a> {
    fn begin(at_work: &'a Cell<bool>) -> Option<Self> {
        // Not `then_some`: one that isn't wanted would be dropped, and say that nobody is at work.
        (!at_work.replace(true)).then(|| Self(at_work))
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// What a promise comes to.
///
/// # Errors
/// What it is broken with.
pub async fn answer_of(promise: &Promise) -> Answer {
    let receiver = TASKS.with(|tasks| {
        let number = tasks.last_number.get().wrapping_add(1);
        tasks.last_number.set(number);
        let (sender, receiver) = oneshot::channel();
        tasks.waiting.borrow_mut().insert(number, sender);
        platform::when(promise, number, tasks.answered.as_ref());
        receiver
    });
    receiver.await.unwrap_or_else(|_| Err(JsValue::from_str("a promise was forgotten")))
}

/// Begins work for a caller in JavaScript, who hears `(true, value)` or `(false, error)`. A panic ends this work,
/// and nothing else.
pub fn work_for(done: Function, work: impl Future<Output = Answer> + 'static) {
    let task = finish(done, work.boxed_local()).boxed_local();
    TASKS.with(|tasks| {
        tasks.begun.borrow_mut().push(task);
        tasks.run();
    });
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
