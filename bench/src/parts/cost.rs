//! What a delivery costs in commits, rows and calls, counted.
//!
//! Commits are counted in the released Worker, from outside. Rows and calls need counters, which only the
//! Worker of the end-to-end tests has: the same code with the feature `testing`, so it is counted and not timed.

use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use crate::commits::Commits;
use crate::failure::Failure;
use crate::load::{Load, drive};
use crate::report::{Bound, Report};
use crate::runtime::{Program, Runtime};
use crate::stage::Stage;
use crate::subject::Subject;

const BYTES: usize = 1_000;
/// Where a runtime keeps the databases of the outboxes, Varde's and the floor's.
const OUTBOX: &str = "bench-Outbox";
/// Calls of a round: a log that is begun anew in the middle of one is no count, so rounds are short.
const ROUND: u32 = 32;
/// Rounds that are tried, and that are enough.
const ROUNDS: usize = 30;
const ENOUGH: usize = 4;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let mut varde = stage.varde("cost-varde", Program::Varde).await?;
    let floor = stage.floor("cost-floor", Program::Floor).await?;
    let ours = varde.telling("cost", 1, "0").await?;
    let theirs = stage.floor_subject(&floor, "0");
    report.section("Costs", "Counted for a delivery that arrives at its first attempt.");
    report.table(&["load", "commits, Varde", "commits, floor"]);
    for (name, connections, batch, calls) in [
        ("one after another", 1, 1, ROUND),
        ("16 connections", 16, 1, ROUND),
        ("64 connections", 64, 1, 64),
        ("batches of 20, one after another", 1, 20, 1),
    ] {
        // Small bodies, so that the log lasts longer.
        let load = Load::many(connections, batch, BYTES / 10, calls);
        let of_varde = commits(stage, &varde.runtime, &ours, load).await?;
        let of_floor = if batch == 1 {
            format!("{:.2}", commits(stage, &floor, &theirs, load).await?)
        } else {
            String::new()
        };
        report.row([name.to_owned(), format!("{of_varde:.2}"), of_floor]);
        if connections == 1 && batch == 1 {
            let what = "commits of the outbox for a delivery, one after another";
            report.goal(what, Bound::AtMost(2.0), (of_varde, String::new()), "", "");
        }
    }
    // The logs aside, which are emptied when they are long enough.
    let outbox = varde.runtime.state().join(OUTBOX);
    let (before, many) = (databases(&outbox)?, 1_000);
    drive(&ours, Load::many(16, 1, BYTES, many), &stage.ledger).await?;
    let stored = (databases(&outbox)? - before) / u64::from(many);
    report.table(&["", "bytes"]);
    report.row([
        "stored for a delivery that has arrived, until it is forgotten".to_owned(),
        stored.to_string(),
    ]);
    report.row(["of them its webhook's body".to_owned(), BYTES.to_string()]);
    varde.runtime.stop().await?;
    floor.stop().await?;
    rows(stage, report).await
}

/// Size of all databases in a folder.
fn databases(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "sqlite") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Commits for a delivery, over the rounds in which the log wasn't begun anew.
async fn commits(stage: &Stage, runtime: &Runtime, subject: &Subject, load: Load) -> Result<f64, Failure> {
    let class = runtime.state().join(OUTBOX);
    let look = |class: &Path| Commits::of(class);
    drive(subject, load, &stage.ledger).await?;
    let (mut commits, mut records, mut counted) = (0, 0, 0);
    for _ in 0..ROUNDS {
        if counted == ENOUGH {
            break;
        }
        let before = look(&class);
        let slice = drive(subject, load, &stage.ledger).await?;
        if let Some(found) = look(&class).since(&before) {
            commits += found;
            records += slice.numbers.len();
            counted += 1;
        }
    }
    // A delivery without a commit would be a lost one: what was looked at then is not where it is.
    if commits == 0 {
        return Err(Failure::new("no round's commits could be counted"));
    }
    Ok(commits as f64 / records as f64)
}

async fn rows(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let mut varde = stage.varde("rows-varde", Program::VardeCounting).await?;
    let floor = stage.floor("rows-floor", Program::FloorCounting).await?;
    let ours = varde.telling("cost", 1, "0").await?;
    let retry = json!({"first_ms": 100, "factor": 1, "max_ms": 100, "jitter": 0});
    let failing = varde.action("tell", "second", &json!({"retry": retry}));
    let failing = varde.workflow("failing", 1, &[failing]).await?;
    let theirs = stage.floor_subject(&floor, "0");
    let load = Load::many(1, 1, BYTES, ROUND);
    // A wait for the end looks at the statistics, which is a call and no row.
    let single = counted(stage, &mut varde, &ours, load).await?;
    let batch = counted(stage, &mut varde, &ours, Load::many(1, 100, BYTES, 2)).await?;
    let second = counted(stage, &mut varde, &failing, load).await?;
    drive(&theirs, load, &stage.ledger).await?;
    let mut connection = theirs.connect().await?;
    let before = connection.json(Method::GET, "/", None).await?;
    drive(&theirs, load, &stage.ledger).await?;
    let after = connection.json(Method::GET, "/", None).await?;
    let floor_rows = difference(&before, &after, "rows") / f64::from(ROUND);
    report.table(&["", "rows written", "rows read"]);
    report.row(["Varde".to_owned(), format!("{:.2}", single.0), format!("{:.2}", single.1)]);
    report.row(["Varde, batches of 100".to_owned(), format!("{:.2}", batch.0), format!("{:.2}", batch.1)]);
    let added = (second.0 - single.0, second.1 - single.1);
    report.row([
        "Varde, a failed attempt more".to_owned(),
        format!("{:.2}", added.0),
        format!("{:.2}", added.1),
    ]);
    report.row(["floor".to_owned(), format!("{floor_rows:.2}"), String::new()]);
    let what = "rows written for a delivery, index entries counted";
    report.goal(what, Bound::AtMost(6.0), (single.0, String::new()), "", "");
    varde.runtime.stop().await?;
    floor.stop().await
}

/// Rows written and read for a delivery.
async fn counted(
    stage: &Stage,
    varde: &mut crate::stage::Varde,
    subject: &Subject,
    load: Load,
) -> Result<(f64, f64), Failure> {
    const COUNTERS: &str = "/__testing/counters";
    drive(subject, load, &stage.ledger).await?;
    let before = varde.admin.json(Method::GET, COUNTERS, None).await?;
    let records = drive(subject, load, &stage.ledger).await?.numbers.len() as f64;
    let after = varde.admin.json(Method::GET, COUNTERS, None).await?;
    Ok((
        difference(&before, &after, "rows_written") / records,
        difference(&before, &after, "rows_read") / records,
    ))
}

fn difference(before: &Value, after: &Value, name: &str) -> f64 {
    let of = |counters: &Value| counters[name].as_f64().unwrap_or(f64::NAN);
    of(after) - of(before)
}
