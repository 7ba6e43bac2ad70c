//! A million deliveries over three virtual days, with an endpoint that is down for one: what waits, how often it
//! is called, and what comes over it when it is back. It runs the core's simulation, not the runtime.

use std::time::Instant;

use crate::failure::Failure;
use crate::report::{Bound, Report};
use crate::stage::Stage;
use crate::world::{Found, LEASES, Plan, run as simulate};
use varde_core::outcome::Outcome;
use varde_core::rate::RateLimit;
use varde_core::time::{DAY_MS, HOUR_MS, MINUTE_MS};

const DELIVERIES: u32 = 1_000_000;
/// A second, as the limited world has it.
const LIMIT: u32 = 20;

pub fn run(stage: &Stage, report: &mut Report) -> Result<(), Failure> {
    let deliveries = if stage.quick { DELIVERIES / 10 } else { DELIVERIES };
    let plan = Plan::new(deliveries, 3 * DAY_MS, (DAY_MS, 2 * DAY_MS));
    let limit = RateLimit::new(LIMIT, 1_000);
    let worlds = [
        ("1 shard", plan.clone()),
        ("8 shards", Plan { shards: 8, ..plan.clone() }),
        ("8 shards, 20 a second allowed", Plan { shards: 8, limit, ..plan.clone() }),
        (
            "8 shards, down means 25 s of silence",
            Plan { shards: 8, down: (Outcome::Timeout, 25_000), ..plan.clone() },
        ),
        ("8 shards, without a breaker", Plan { shards: 8, breaker: false, ..plan.clone() }),
    ];
    report.section(
        "A day of downtime, simulated",
        &format!(
            "{deliveries} deliveries come in over three virtual days; the endpoint answers 503 for the second of them, and \
             otherwise after 100 ms. Every decision is the core's own. Peaks are attempts that began in the fullest \
             second, minute and hour from the recovery on."
        ),
    );
    report.table(&[
        "world",
        "attempts",
        "of them while down",
        "most open",
        "noticed after (s)",
        "caught up after (min)",
        "peak: 1 s, 60 s, 1 h",
        "at once",
        "exhausted",
        "model's memory (MB)",
        "took (s)",
    ]);
    for (name, plan) in worlds {
        let started = Instant::now();
        let found = simulate(&plan);
        if found.delivered + found.exhausted != deliveries {
            return Err(Failure::new(format!("{name}: deliveries are missing")));
        }
        row(report, name, &plan, &found, started);
        goals(report, name, &plan, &found);
    }
    Ok(())
}

fn row(report: &mut Report, name: &str, plan: &Plan, found: &Found, started: Instant) {
    let after = (plan.down_ms.1, u64::MAX);
    let noticed = found.noticed_ms.iter().map(|ms| ms / 1_000);
    let (first, last) = (noticed.clone().min().unwrap_or(0), noticed.max().unwrap_or(0));
    report.row([
        name.to_owned(),
        found.attempts.to_string(),
        found.attempts_down.to_string(),
        found.most_open.to_string(),
        format!("{first} to {last}"),
        format!("{:.1}", found.caught_up_ms as f64 / MINUTE_MS as f64),
        format!(
            "{}, {}, {}",
            found.peak(1, after),
            found.peak(60, after),
            found.peak(HOUR_MS as usize / 1_000, after)
        ),
        found.most_at_once.to_string(),
        found.exhausted.to_string(),
        format!("{:.0}", found.most_bytes() as f64 / 1e6),
        format!("{:.1}", started.elapsed().as_secs_f64()),
    ]);
}

fn goals(report: &mut Report, name: &str, plan: &Plan, found: &Found) {
    if !plan.breaker {
        return;
    }
    let after = (plan.down_ms.1, u64::MAX);
    if plan.limit.is_some() {
        let share = f64::from(found.peak(10, after)) / f64::from(LIMIT * 10);
        let what = format!("recovery, {name}: fullest 10 s, of the limit");
        report.goal(what, Bound::AtMost(1.05), (share, String::new()), "", "");
    } else {
        let allowed = LEASES * u64::from(plan.shards);
        let share = found.most_at_once as f64 / allowed as f64;
        let what = format!("recovery, {name}: most requests at once, of the {allowed} leases");
        report.goal(what, Bound::AtMost(1.0), (share, format!("({} at once)", found.most_at_once)), "", "");
    }
}
