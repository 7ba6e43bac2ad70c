//! Drives a subject for a while and says what came of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::spread::Spread;
use crate::subject::Subject;

/// Longest wait for what was accepted to arrive, and to be settled.
const PATIENCE: Duration = Duration::from_mins(2);
/// Share of a drive that warms it up: what arrives in it doesn't count for the rate.
const WARM_UP: f64 = 0.2;

/// How a subject is driven.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with one call at a time.
    pub connections: usize,
    /// Records in a call.
    pub batch: u32,
    /// Bytes of a record's properties, and so of a webhook's body.
    pub bytes: usize,
    /// Records a second in all; without it, as fast as the answers come.
    pub pace: Option<f64>,
    /// For how long calls are made.
    pub length: Duration,
    /// Calls wait while more than this haven't arrived.
    pub most_outstanding: usize,
    /// Calls in all, where time isn't what ends it.
    pub calls: Option<u32>,
    /// What is waited for at the end.
    pub end: End,
}

/// When a drive is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// When all calls are answered.
    Answered,
    /// When all webhooks have arrived, too.
    Arrived,
    /// When nothing is open any more, too.
    Settled,
}

impl Load {
    /// As fast as the answers come.
    pub const fn full(connections: usize, batch: u32, bytes: usize, length: Duration) -> Self {
        // More than is ever leased at once, and less than takes seconds to send.
        let most_outstanding = 1_000;
        Self {
            connections,
            batch,
            bytes,
            pace: None,
            length,
            most_outstanding,
            calls: None,
            end: End::Settled,
        }
    }

    /// At a pace, whatever the answers do.
    pub const fn paced(connections: usize, bytes: usize, a_second: f64, length: Duration) -> Self {
        Self {
            pace: Some(a_second),
            most_outstanding: usize::MAX,
            ..Self::full(connections, 1, bytes, length)
        }
    }

    /// So many calls.
    pub const fn many(connections: usize, batch: u32, bytes: usize, calls: u32) -> Self {
        Self { calls: Some(calls), ..Self::full(connections, batch, bytes, Duration::MAX) }
    }

    /// The same, over at another moment.
    pub const fn until(self, end: End) -> Self {
        Self { end, ..self }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Slice {
    /// The records.
    pub numbers: Vec<u32>,
    /// Records accepted a second while calls were made.
    pub accepted_a_second: f64,
    /// Webhooks arrived a second while calls were made, the warm-up apart.
    pub delivered_a_second: f64,
    /// From call to answer, in ms.
    pub accept: Spread,
    /// From call to arrival, in ms.
    pub way: Spread,
    /// The runtime's CPU for each record, up to the last settle, in ms.
    pub cpu: f64,
    /// The runtime's resident memory at the end, in bytes.
    pub memory: u64,
}

/// What the connections share.
struct Drive {
    subject: Subject,
    load: Load,
    ledger: Ledger,
    started: Instant,
    turn: Cell<u32>,
    /// What others still wait for.
    outstanding_before: usize,
    numbers: RefCell<Vec<u32>>,
    answers: RefCell<Vec<Duration>>,
}

/// Drives a subject.
///
/// # Errors
///
/// When a record is refused, lost, or not settled in time.
pub async fn drive(subject: &Subject, load: Load, ledger: &Ledger) -> Result<Slice, Failure> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(subject.connect().await?);
    }
    let cpu_before = subject.process.cpu();
    let drive = Rc::new(Drive {
        subject: subject.clone(),
        load,
        ledger: ledger.clone(),
        started: Instant::now(),
        turn: Cell::new(0),
        outstanding_before: ledger.outstanding(),
        numbers: RefCell::default(),
        answers: RefCell::default(),
    });
    let callers: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::task::spawn_local(caller(Rc::clone(&drive), connection)))
        .collect();
    for caller in callers {
        caller.await.map_err(|error| Failure::new(format!("a caller ended early: {error}")))??;
    }
    let ended = Instant::now();
    let numbers = drive.numbers.take();
    if load.end != End::Answered {
        over(subject, ledger, &numbers, load.end).await?;
    }
    let cpu = subject.process.cpu().saturating_sub(cpu_before).as_secs_f64() * 1_000.0;

    let counted_from = drive.started + ended.duration_since(drive.started).mul_f64(WARM_UP);
    let counted = ledger.arrivals(&numbers).iter().filter(|at| (counted_from..ended).contains(at)).count();
    Ok(Slice {
        accepted_a_second: numbers.len() as f64 / ended.duration_since(drive.started).as_secs_f64(),
        delivered_a_second: counted as f64 / ended.duration_since(counted_from).as_secs_f64(),
        accept: Spread::of_ms(drive.answers.take()),
        way: Spread::of_ms(ledger.ways(&numbers)),
        cpu: cpu / numbers.len() as f64,
        memory: subject.process.memory(),
        numbers,
    })
}

/// Waits until these have arrived, and until the subject has nothing open where that is the end.
async fn over(subject: &Subject, ledger: &Ledger, numbers: &[u32], end: End) -> Result<(), Failure> {
    let started = Instant::now();
    let mut connection = subject.connect().await?;
    loop {
        let missing = numbers.len() - ledger.arrived_of(numbers);
        let look = missing == 0 && end == End::Settled;
        let open = if look { subject.open(&mut connection).await? } else { 0 };
        if missing == 0 && open == 0 {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            return Err(Failure::new(format!(
                "{}: {missing} of {} webhooks didn't arrive, {open} deliveries are open, after {} s",
                subject.name,
                numbers.len(),
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One connection's calls, until the time is over.
async fn caller(drive: Rc<Drive>, mut connection: crate::connection::Connection) -> Result<(), Failure> {
    let load = drive.load;
    while let Some(at) = drive.turn().await {
        while drive.ledger.outstanding().saturating_sub(drive.outstanding_before) > load.most_outstanding {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let numbers = drive.ledger.issue(load.batch);
        drive.numbers.borrow_mut().extend(numbers.clone());
        let call = drive.subject.call(&numbers, load.bytes);
        // A call that came late for its turn has waited since then.
        let sent = at.unwrap_or_else(Instant::now);
        drive.ledger.sent(numbers, sent);
        drive.subject.enroll(&mut connection, load.batch as usize, call).await?;
        drive.answers.borrow_mut().push(sent.elapsed());
    }
    Ok(())
}

impl Drive {
    /// Waits for the next call's time; none when the time is over. Some(Some(at)) is a turn that was due before.
    async fn turn(&self) -> Option<Option<Instant>> {
        let turn = self.turn.replace(self.turn.get() + 1);
        if self.load.calls.is_some_and(|calls| turn >= calls) {
            return None;
        }
        let Some(pace) = self.load.pace else {
            return (self.started.elapsed() < self.load.length).then_some(None);
        };
        let due = self.started + Duration::from_secs_f64(f64::from(turn) / pace);
        if due.duration_since(self.started) >= self.load.length {
            return None;
        }
        if due <= Instant::now() {
            return Some(Some(due));
        }
        tokio::time::sleep_until(due.into()).await;
        Some(None)
    }
}
