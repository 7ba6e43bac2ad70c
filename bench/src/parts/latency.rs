//! End to end at half of what can be carried.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::{Load, drive};
use crate::parts::compare::{COLUMNS, Pairs, figure};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::stage::Stage;

const BYTES: usize = 1_000;
const CONNECTIONS: usize = 16;
/// Share of the lesser capacity that both are offered.
const OFFERED: f64 = 0.5;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let (rounds, length) = if stage.quick { (3, 2) } else { (7, 4) };
    let length = Duration::from_secs(length);
    let mut varde = stage.varde("latency-varde", Program::Varde).await?;
    let floor = stage.floor("latency-floor", Program::Floor).await?;
    let ours = varde.telling("latency", 1, "0").await?;
    let theirs = stage.floor_subject(&floor, "0");
    let mut capacity = f64::INFINITY;
    for subject in [&ours, &theirs] {
        drive(subject, Load::full(CONNECTIONS, 1, BYTES, Duration::from_secs(1)), &stage.ledger).await?;
        let found = drive(subject, Load::full(CONNECTIONS, 1, BYTES, length), &stage.ledger).await?;
        capacity = capacity.min(found.delivered_a_second);
    }
    let offered = capacity * OFFERED;
    report.section(
        "End to end",
        &format!("Both are offered {offered:.0} a second on {CONNECTIONS} connections, half of what the slower one carries."),
    );
    report.table(&COLUMNS);
    let load = Load::paced(CONNECTIONS, BYTES, offered, length);
    let pairs = Pairs::measure(stage, rounds, (&ours, load), (&theirs, load)).await?;
    pairs.show(report, &format!("{offered:.0} a second"));
    report.goal(
        "end to end p50, 16 connections, half of the capacity: of the floor's",
        Bound::AtMost(1.3),
        figure(&pairs.ratio(|slice| slice.way.median())),
        "",
        "The webhook leaves once its enrollment is on disk, and what comes alone is committed alone: what a delivery \
         takes of CPU is its way, before the endpoint hears of it.",
    );
    varde.runtime.stop().await?;
    floor.stop().await
}
