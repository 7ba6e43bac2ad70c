//! Whether a rate limit holds: over any ten seconds neither exceeded nor left unused, over one shard and eight.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::failure::Failure;
use crate::load::{End, Load, drive};
use crate::report::{Bound, Report};
use crate::runtime::Program;
use crate::stage::Stage;

const BYTES: usize = 300;
/// Requests a second.
const LIMIT: u32 = 40;
const WINDOW: Duration = Duration::from_secs(10);
/// The first slots are given while the backlog is still being made.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let seconds = if stage.quick { 15 } else { 45 };
    let mut varde = stage.varde("rate-varde", Program::Varde).await?;
    let limited = json!({"rate_limit": {"requests": LIMIT, "per_ms": 1_000}});
    let action = varde.action("tell", "0", &limited);
    let mut drives = Vec::new();
    for shards in [1, 8] {
        let subject =
            varde.workflow(&format!("rate-{shards}"), shards, std::slice::from_ref(&action)).await?;
        // A fifth more than can go out, so that no shard has run dry at the end.
        let calls = LIMIT * (seconds + SETTLE.as_secs() as u32) * 6 / 5 / 100 + 1;
        let mut load = Load::many(2, 100, BYTES, calls).until(End::Answered);
        load.most_outstanding = usize::MAX;
        drives.push((shards, drive(&subject, load, &stage.ledger).await?.numbers));
    }
    let from = Instant::now() + SETTLE;
    let to = from + Duration::from_secs(seconds.into());
    tokio::time::sleep_until((to + Duration::from_millis(100)).into()).await;

    report.section(
        "Rate limits",
        &format!(
            "{LIMIT} a second, with more work than that for {seconds} s; webhooks that arrived in the fullest and in \
             the emptiest ten seconds."
        ),
    );
    report.table(&["shards", "allowed in 10 s", "most", "least"]);
    let allowed = f64::from(LIMIT) * WINDOW.as_secs_f64();
    for (shards, numbers) in drives {
        let mut came = stage.ledger.arrivals(&numbers);
        came.retain(|at| (from..to).contains(at));
        came.sort();
        let (least, most) = windows(&came, from, to);
        report.row([shards.to_string(), format!("{allowed:.0}"), most.to_string(), least.to_string()]);
        let share = |count: usize| (count as f64 / allowed, format!("({count} of {allowed:.0})"));
        let what = format!("rate limit over {shards} shard(s), ");
        report.goal(format!("{what}fullest 10 s: of the limit"), Bound::AtMost(1.05), share(most), "", "");
        report.goal(format!("{what}emptiest 10 s: of the limit"), Bound::AtLeast(0.95), share(least), "", "");
    }
    varde.runtime.stop().await
}

/// The fewest and the most arrivals in any window of a span; `came` is sorted and within the span.
fn windows(came: &[Instant], from: Instant, to: Instant) -> (usize, usize) {
    let within = |start: Instant| {
        let end = start + WINDOW;
        came.partition_point(|at| *at < end) - came.partition_point(|at| *at < start)
    };
    // A count changes only where a window begins or ends at an arrival.
    let most = came.iter().map(|at| within(*at)).max().unwrap_or(0);
    let after = came.iter().map(|at| *at + Duration::from_nanos(1));
    let least = after.chain([from]).filter(|start| *start + WINDOW <= to).map(within).min().unwrap_or(0);
    (least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_fullest_and_the_emptiest_window() {
        let from = Instant::now();
        let at = |ms: u64| from + Duration::from_millis(ms);
        // One a second for 30 s, three more in the middle, and none from 20 s to 23 s.
        let mut came: Vec<Instant> =
            (0..30).filter(|second| !(20..23).contains(second)).map(|s| at(s * 1_000)).collect();
        came.extend([at(10_100), at(10_200), at(10_300)]);
        came.sort();
        assert_eq!(windows(&came, from, at(30_000)), (7, 13));
        assert_eq!(windows(&[], from, at(30_000)), (0, 0));
    }
}
