//! An endpoint that takes 500 ms, offered most of what the Worker carries.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::failure::Failure;
use crate::load::{Load, drive};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::spread::Spread;
use crate::stage::Stage;
use crate::subject::Subject;

const BYTES: usize = 1_000;
const SHARDS: u32 = 8;
const OFFERED: f64 = 0.6;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The open count needs this to come to what is on its way.
const RAMP: Duration = Duration::from_secs(3);

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let length = Duration::from_secs(if stage.quick { 12 } else { 30 });
    let mut varde = stage.varde("slow-varde", Program::Varde).await?;
    let fast = varde.telling("fast", SHARDS, "0").await?;
    let slow = varde.telling("slow", SHARDS, "500").await?;
    let full = |seconds| Load::full(64, 1, BYTES, Duration::from_secs(seconds));
    drive(&fast, full(1), &stage.ledger).await?;
    let capacity = drive(&fast, full(4), &stage.ledger).await?.delivered_a_second;
    let offered = capacity * OFFERED;

    let looks = Rc::new(RefCell::new(Vec::new()));
    let watcher = tokio::task::spawn_local(watch(slow.clone(), Rc::clone(&looks)));
    let found = drive(&slow, Load::paced(64, BYTES, offered, length), &stage.ledger).await;
    watcher.abort();
    let found = found?;

    let looks = looks.take();
    let counted: Vec<f64> =
        looks.iter().filter(|(at, _)| (RAMP..length).contains(at)).map(|(_, open)| *open as f64).collect();
    let third = counted.len() / 3;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (early, late) = (mean(&counted[..third]), mean(&counted[counted.len() - third..]));
    let most = Spread::of(counted.iter().copied()).most();
    report.section(
        "A slow endpoint",
        &format!(
            "It answers after 500 ms. Through {SHARDS} shards the Worker carries {capacity:.0} a second to a fast one; \
             this one is offered {offered:.0} a second for {} s.",
            length.as_secs()
        ),
    );
    report.table(&[
        "open, first third",
        "open, last third",
        "open, most",
        "on their way at least",
        "end to end p50, p99 (ms)",
    ]);
    report.row([
        format!("{early:.0}"),
        format!("{late:.0}"),
        format!("{most:.0}"),
        format!("{:.0}", offered * 0.5),
        format!("{:.0}, {:.0}", found.way.median(), found.way.at(0.99)),
    ]);
    report.goal(
        "60 % of the capacity to a 500 ms endpoint, 8 shards: growth of the open count, last third by first",
        Bound::AtMost(1.2),
        (late / early, format!("({early:.0} and {late:.0} open)")),
        "",
        "The capacity is measured at full load, where what comes together is committed together; at a pace nearly \
         every accept is a turn of its own, and the CPU for a delivery is half as much again: nearly all of one core.",
    );
    varde.runtime.stop().await
}

/// Notes what is open, until it is stopped.
async fn watch(subject: Subject, looks: Rc<RefCell<Vec<(Duration, u64)>>>) -> Result<(), Failure> {
    let started = std::time::Instant::now();
    let mut connection = subject.connect().await?;
    loop {
        let open = subject.open(&mut connection).await?;
        looks.borrow_mut().push((started.elapsed(), open));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
