//! What an endpoint that never answers does to others: another action in the same outbox, another workflow.

use std::time::Duration;

use serde_json::json;

use crate::failure::Failure;
use crate::load::{End, Load, Slice, drive};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::spread::Spread;
use crate::stage::{Stage, Varde};
use crate::subject::Subject;

const BYTES: usize = 1_000;
/// Records a second of each workflow: more than the endpoint that never answers can be asked in its timeouts.
const PACE: f64 = 20.0;
/// Its timeout.
const TIMEOUT_MS: u64 = 5_000;
/// Leases that an action has at most in a shard.
const MOST_LEASES: usize = 64;

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    // All within a minute: then the breaker opens, and it would be too easy.
    let (rounds, length) = if stage.quick { (3, 2) } else { (7, 3) };
    let load = Load::paced(4, BYTES, PACE, Duration::from_secs(length)).until(End::Arrived);
    let hanging = Neighbours::open(stage, "isolation-hanging").await?;
    let mut quiet = Neighbours::open(stage, "isolation-quiet").await?;
    quiet.varde.control("beside", "hang", "pause").await?;
    let failed_before = stage.ledger.failed_so_far();
    let warm = Load::paced(4, BYTES, PACE, Duration::from_secs(5)).until(End::Arrived);
    quiet.drive(stage, warm).await?;
    hanging.drive(stage, warm).await?;

    let (mut with, mut without) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..rounds {
        for (neighbours, found) in [(&quiet, &mut without), (&hanging, &mut with)] {
            let (beside, other) = neighbours.drive(stage, load).await?;
            found.0.push(beside);
            found.1.push(other);
        }
    }
    let unanswered = stage.ledger.failed_so_far() - failed_before;
    if unanswered < MOST_LEASES {
        return Err(Failure::new(format!(
            "only {unanswered} deliveries met the endpoint that never answers"
        )));
    }
    report.section(
        "Isolation",
        &format!(
            "An action whose endpoint never answers has more due than it may have leased, with a timeout of {TIMEOUT_MS} ms; \
             {PACE:.0} a second go to another action of the same outbox, and as many to another workflow. In turn with \
             the same in another runtime, where that action is paused. {unanswered} deliveries met that endpoint."
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
    hanging.varde.runtime.stop().await?;
    quiet.varde.runtime.stop().await
}

/// A workflow with an action that hangs and one that doesn't, and another workflow.
struct Neighbours {
    varde: Varde,
    beside: Subject,
    other: Subject,
}

impl Neighbours {
    async fn open(stage: &Stage, name: &str) -> Result<Self, Failure> {
        let mut varde = stage.varde(name, Program::Varde).await?;
        let tell = varde.action("tell", "0", &json!({}));
        let hang = varde.action("hang", "never", &json!({"timeout_ms": TIMEOUT_MS}));
        let beside = varde.workflow("beside", 1, &[tell.clone(), hang]).await?;
        let other = varde.workflow("other", 1, &[tell]).await?;
        Ok(Self { varde, beside, other })
    }

    /// Drives both workflows at once.
    async fn drive(&self, stage: &Stage, load: Load) -> Result<(Slice, Slice), Failure> {
        let (beside, ledger) = (self.beside.clone(), stage.ledger.clone());
        let beside = tokio::task::spawn_local(async move { drive(&beside, load, &ledger).await });
        let other = drive(&self.other, load, &stage.ledger).await?;
        Ok((beside.await.map_err(|error| Failure::new(error.to_string()))??, other))
    }
}
