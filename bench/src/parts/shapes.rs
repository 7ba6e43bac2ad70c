//! The same load in other shapes: connections, batches, shards, larger bodies.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::Load;
use crate::parts::compare::{COLUMNS, Pairs, figure};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::stage::Stage;

/// Bytes of a webhook's body.
const SMALL: usize = 1_000;
const LARGE: usize = 32_000;
/// What the floor, which has no batches, is held against.
const FLOOR_CONNECTIONS: usize = 16;

/// A row: its name, shards, connections, records in a call, bytes.
type Shape = (&'static str, u32, usize, u32, usize);

const SHAPES: [Shape; 7] = [
    ("1 connection", 1, 1, 1, SMALL),
    ("16 connections, 8 shards", 8, 16, 1, SMALL),
    ("64 connections, 8 shards", 8, 64, 1, SMALL),
    ("16 connections, 32 KB", 1, 16, 1, LARGE),
    ("batches of 100, 1 connection", 1, 1, 100, SMALL),
    ("batches of 100, 16 connections", 1, 16, 100, SMALL),
    ("batches of 100, 16 connections, 8 shards", 8, 16, 100, SMALL),
];

/// The shape that the goal for batches is about.
const GOAL: &str = "batches of 100, 16 connections";

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let (rounds, length) = if stage.quick { (2, 2) } else { (5, 3) };
    let length = Duration::from_secs(length);
    let mut varde = stage.varde("shapes-varde", Program::Varde).await?;
    let floor = stage.floor("shapes-floor", Program::Floor).await?;
    let theirs = stage.floor_subject(&floor, "0");
    report.section(
        "Other shapes",
        "As above. The floor has no batches and one object: beside a batch stands its rate with single calls on 16 \
         connections, beside eight shards its one object.",
    );
    report.table(&COLUMNS);
    for (name, shards, connections, batch, bytes) in SHAPES {
        let ours = varde.telling(&format!("shapes-{shards}"), shards, "0").await?;
        let at = Load::full(connections, batch, bytes, length);
        let floor_connections = if batch > 1 { FLOOR_CONNECTIONS } else { connections };
        let floor_at = Load::full(floor_connections, 1, bytes, length);
        let pairs = Pairs::measure(stage, rounds, (&ours, at), (&theirs, floor_at)).await?;
        pairs.show(report, name);
        if name == GOAL {
            report.goal(
                "delivered a second, batches of 100: of the floor's single calls",
                Bound::AtLeast(2.5),
                figure(&pairs.ratio(|slice| slice.delivered_a_second)),
                "",
                "Only sending them would reach it (see What the platform leaves room for). But each webhook has a lease and \
                 a settle, its rows and its signature, and only what one invocation sends side by side, six, is settled \
                 together: a batch saves no more than the accepts.",
            );
        }
    }
    varde.runtime.stop().await?;
    floor.stop().await
}
