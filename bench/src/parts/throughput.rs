//! Delivered a second and CPU for each delivery: single enrollments, 1 KB, 16 and 64 connections.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::{Load, drive};
use crate::parts::compare::{COLUMNS, Pairs, figure};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::stage::Stage;

/// Bytes of a webhook's body.
const BYTES: usize = 1_000;
/// How long each is driven twice before it counts.
const WARM_UP: Duration = Duration::from_secs(4);
/// What keeps the rate down, where it is.
const HOLDS: &str = "It is CPU: under load a delivery takes less than half a commit, where the floor's takes two (see Costs). \
     Plain JavaScript that asks of the platform what Varde has to is about as fast as the floor (see What the platform \
     leaves room for); the rest is what Varde does. By profiles of both at 16 connections, of the CPU beyond that \
     ceiling 38 % are in wasm, spread thin (no function has more than a twentieth of it), 20 % in calls of the platform, \
     with more and longer arguments, 17 % in what the runtime does for each event, 14 % in V8's builtins, in JavaScript \
     and in compiling, 5 % in SQL, whose rows are four times as long, and the rest in crossings and the garbage collector.";

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let (rounds, length) = if stage.quick { (4, 2) } else { (7, 4) };
    let length = Duration::from_secs(length);
    let mut varde = stage.varde("throughput-varde", Program::Varde).await?;
    let floor = stage.floor("throughput-floor", Program::Floor).await?;
    let ours = varde.telling("throughput", 1, "0").await?;
    let theirs = stage.floor_subject(&floor, "0");

    report.section(
        "Throughput",
        "Single enrollments as fast as the answers come, one shard, 1 KB bodies, an endpoint that answers at once.",
    );
    report.table(&COLUMNS);
    // Until the engine has compiled what is used much: that goes on in the background for some seconds.
    for subject in [&ours, &theirs, &ours, &theirs] {
        drive(subject, Load::full(16, 1, BYTES, WARM_UP), &stage.ledger).await?;
    }
    for connections in [16, 64] {
        let load = Load::full(connections, 1, BYTES, length);
        let pairs = Pairs::measure(stage, rounds, (&ours, load), (&theirs, load)).await?;
        pairs.show(report, &format!("{connections} connections"));
        let rate = pairs.ratio(|slice| slice.delivered_a_second);
        report.goal(
            format!("delivered a second, {connections} connections: of the floor"),
            Bound::AtLeast(1.1),
            figure(&rate),
            "",
            HOLDS,
        );
        if connections == 16 {
            let cpu = pairs.ratio(|slice| slice.cpu);
            let what = "CPU of the runtime for a delivery: of the floor's";
            report.goal(what, Bound::AtMost(1.2), figure(&cpu), "", HOLDS);
        }
    }
    varde.runtime.stop().await?;
    floor.stop().await
}
