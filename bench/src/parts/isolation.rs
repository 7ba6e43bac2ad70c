//! What an endpoint that never answers does to others: another action in the same outbox, another workflow.

use std::time::Duration;

use serde_json::json;

use crate::failure::Failure;
use crate::load::{End, Load, Slice, drive};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::spread::Spread;
use crate::stage::Stage;

const BYTES: usize = 1_000;
/// Records a second of each workflow.
const PACE: f64 = 20.0;
/// Deliveries that the bad endpoint has due before it begins, more than are ever leased at once.
const DUE: u32 = 200;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    // All within a minute: then the breaker opens, and it would be too easy.
    let (rounds, length) = if stage.quick { (3, 2) } else { (7, 3) };
    let length = Duration::from_secs(length);
    let mut varde = stage.varde("isolation-varde", Program::Varde).await?;
    let tell = varde.action("tell", "0", &json!({}));
    let retry = json!({"first_ms": 100, "factor": 1, "max_ms": 100, "jitter": 0});
    let hang = varde.action("hang", "never", &json!({"timeout_ms": 1_000, "retry": retry}));
    let beside = varde.workflow("beside", 1, &[tell.clone(), hang]).await?;
    let other = varde.workflow("other", 1, &[tell]).await?;
    varde.control("beside", "hang", "pause").await?;
    let load = Load::paced(4, BYTES, PACE, length).until(End::Arrived);
    drive(&beside, Load::many(8, 1, BYTES, DUE).until(End::Arrived), &stage.ledger).await?;
    drive(&other, load, &stage.ledger).await?;

    let (mut with, mut without) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..rounds {
        for (verb, found) in [("pause", &mut without), ("resume", &mut with)] {
            varde.control("beside", "hang", verb).await?;
            // What was leased before a pause takes its timeout.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            let ours = stage.ledger.clone();
            let same = beside.clone();
            let same = tokio::task::spawn_local(async move { drive(&same, load, &ours).await });
            found.1.push(drive(&other, load, &stage.ledger).await?);
            found.0.push(same.await.map_err(|error| Failure::new(error.to_string()))??);
        }
    }
    let unanswered = stage.ledger.hung_so_far();
    if unanswered < DUE as usize / 2 {
        return Err(Failure::new(format!(
            "only {unanswered} deliveries met the endpoint that never answers"
        )));
    }
    report.section(
        "Isolation",
        &format!(
            "An action whose endpoint never answers has {DUE} deliveries and more due, with a timeout of 1 s; {PACE:.0} a second go \
             to another action of the same outbox, and to another workflow, while it is active and while it is paused, in turn."
        ),
    );
    report.table(&["end to end", "p50, p95 beside it (ms)", "p50, p95 without (ms)", "p95, ratio"]);
    for (name, with, without) in
        [("another action, same outbox", with.0, without.0), ("another workflow", with.1, without.1)]
    {
        let of = |slices: &[Slice]| Spread::pooled(slices.iter().map(|slice| &slice.way));
        let (with, without) = (of(&with), of(&without));
        let ratio = with.at(0.95) / without.at(0.95);
        let told = |way: &Spread| format!("{:.1}, {:.1}", way.median(), way.at(0.95));
        report.row([name.to_owned(), told(&with), told(&without), format!("**{ratio:.2}**")]);
        report.goal(
            format!("end to end p95 of {name} beside an endpoint that never answers: of that without"),
            Bound::AtMost(1.2),
            (ratio, format!("(p50: {:.2})", with.median() / without.median())),
            "",
            "One runtime has one thread: what the timeouts of others cost it, all wait for. Production has many.",
        );
    }
    varde.runtime.stop().await
}
