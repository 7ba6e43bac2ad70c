//! A backlog of many open deliveries: what it does to accepts, and whether it drains as fast as a small one.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::load::{End, Load, Slice, drive};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::spread::Spread;
use crate::stage::{Stage, Varde};
use crate::subject::Subject;

const BYTES: usize = 300;
/// The small backlog that it is held against when both drain has this part of it: more than drains in all turns.
const SMALL: u32 = 4;
const BATCH: u32 = 100;
const PACE: f64 = 60.0;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let (many, rounds) = if stage.quick { (30_000, 4) } else { (100_000, 16) };
    let mut varde = stage.varde("backlog-varde", Program::Varde).await?;
    let full = Backlog::fill(stage, &mut varde, "full", many).await?;
    let empty = Backlog::fill(stage, &mut varde, "empty", 0).await?;
    let small = Backlog::fill(stage, &mut varde, "small", many / SMALL).await?;
    let filled = varde.runtime.process.memory() as f64 / 1e6;
    let stored = bytes_in(&varde.runtime.state().join("bench-Outbox"))? / u64::from(many + many / SMALL);
    let (with, without) = accepts(stage, rounds, &full.subject, &empty.subject).await?;
    report.section(
        "A backlog",
        &format!(
            "{many} deliveries are open and held by a pause; enrollments of the same workflow go on with another \
             action, beside those of one with no backlog, {PACE:.0} a second on 4 connections. The runtime has \
             {filled:.0} MB resident with the backlog in it, and {stored} bytes on disk for each open delivery, whose \
             body has {BYTES}."
        ),
    );
    let of = |slices: &[Slice]| Spread::pooled(slices.iter().map(|slice| &slice.accept));
    let (with, without) = (of(&with), of(&without));
    report.table(&["accepts", "p50 (ms)", "p99 (ms)"]);
    for (name, accept) in [("with the backlog", &with), ("without", &without)] {
        report.row([name.to_owned(), format!("{:.2}", accept.median()), format!("{:.2}", accept.at(0.99))]);
    }
    report.goal(
        format!("accept p99 with a backlog of {many}: of that with none"),
        Bound::AtMost(1.3),
        (with.at(0.99) / without.at(0.99), format!("(p50: {:.2})", with.median() / without.median())),
        "",
        "Where p50 is no higher with the backlog, it is not the accept that takes longer: what else the machine does is in the tail.",
    );

    let flat = drain(stage, &mut varde, &full, &small).await?;
    report.table(&["draining", "deliveries a second"]);
    report.row([format!("of {many}"), format!("{:.0}", flat.0.median())]);
    report.row([format!("of {}", many / SMALL), format!("{:.0}", flat.1.median())]);
    report.goal(
        format!("deliveries a second out of a backlog of {many}: of those out of {}", many / SMALL),
        Bound::AtLeast(0.9),
        (flat.0.median() / flat.1.median(), String::new()),
        "",
        "",
    );
    varde.runtime.stop().await
}

/// A workflow with open deliveries of a paused action.
struct Backlog {
    id: &'static str,
    subject: Subject,
    numbers: Vec<u32>,
}

impl Backlog {
    /// Makes a workflow whose action `later` is paused and has these open, and whose new records first meet `now`.
    async fn fill(stage: &Stage, varde: &mut Varde, id: &'static str, many: u32) -> Result<Self, Failure> {
        let later = varde.action("later", "0", &Value::Null);
        let subject = varde.workflow(id, 1, std::slice::from_ref(&later)).await?;
        varde.control(id, "later", "pause").await?;
        let mut load = Load::many(4, BATCH, BYTES, many / BATCH).until(End::Answered);
        load.most_outstanding = usize::MAX;
        let numbers = drive(&subject, load, &stage.ledger).await?.numbers;
        let now = varde.action("now", "0", &Value::Null);
        let subject = varde.workflow(id, 1, &[now, later]).await?;
        Ok(Self { id, subject, numbers })
    }
}

/// Accepts of both in turn.
async fn accepts(
    stage: &Stage,
    rounds: usize,
    full: &Subject,
    empty: &Subject,
) -> Result<(Vec<Slice>, Vec<Slice>), Failure> {
    let load = Load::paced(4, BYTES, PACE, Duration::from_secs(2)).until(End::Arrived);
    for subject in [full, empty] {
        drive(subject, load, &stage.ledger).await?;
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who goes first changes, so that neither always meets the other's aftermath.
        for first in [true, false] {
            if first == (round % 2 == 0) {
                with.push(drive(full, load, &stage.ledger).await?);
            } else {
                without.push(drive(empty, load, &stage.ledger).await?);
            }
        }
    }
    Ok((with, without))
}

/// Lets both drain in turn, for a while each; rates of the first and the second.
async fn drain(
    stage: &Stage,
    varde: &mut Varde,
    full: &Backlog,
    small: &Backlog,
) -> Result<(Spread, Spread), Failure> {
    let (rounds, length) = if stage.quick { (2, 1) } else { (4, 3) };
    let (mut of_full, mut of_small) = (Vec::new(), Vec::new());
    for turn in 0..2 * rounds {
        // Full, small, small, full, …
        let (backlog, rates) =
            if turn % 4 == 0 || turn % 4 == 3 { (full, &mut of_full) } else { (small, &mut of_small) };
        varde.control(backlog.id, "later", "resume").await?;
        // What a resume does at once is no steady state.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let started = Instant::now();
        tokio::time::sleep(Duration::from_secs(length)).await;
        let ended = Instant::now();
        varde.control(backlog.id, "later", "pause").await?;
        let came = stage.ledger.arrivals(&backlog.numbers);
        let counted = came.iter().filter(|at| (started..ended).contains(at)).count();
        rates.push(counted as f64 / ended.duration_since(started).as_secs_f64());
        // What was leased still goes out.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok((Spread::of(of_full), Spread::of(of_small)))
}

/// Size of all files in a folder.
fn bytes_in(folder: &Path) -> Result<u64, Failure> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
