//! What comes over an endpoint that was down and is back: no more at once than the caps allow, no faster than
//! its rate limit, not from all shards in the same moment, and nothing lost. `bench/` runs the same world with a
//! million deliveries over three days.

#[path = "recovery/model.rs"]
mod model;

use varde_core::outcome::Outcome;
use varde_core::rate::RateLimit;
use varde_core::time::{DAY_MS, HOUR_MS, MINUTE_MS};

use self::model::{Found, LEASES, Plan, run};

/// 20,000 deliveries over six hours; the endpoint is down for the third and the fourth.
fn plan() -> Plan {
    Plan::new(20_000, 6 * HOUR_MS, (2 * HOUR_MS, 4 * HOUR_MS))
}

/// From when the endpoint is back.
fn recovery(plan: &Plan) -> (u64, u64) {
    (plan.down_ms.1, u64::MAX)
}

fn all_arrived(found: &Found) {
    assert_eq!((found.delivered, found.exhausted), (20_000, 0));
}

#[test]
fn the_breaker_keeps_the_calls_few_while_the_endpoint_is_down() {
    let with = run(&plan());
    let without = run(&Plan { breaker: false, ..plan() });
    all_arrived(&with);
    all_arrived(&without);
    // Ten failures over a minute at some 55 a minute, then one probe every five minutes or less often than that.
    assert!(with.attempts_down < 150, "{} attempts", with.attempts_down);
    assert!(without.attempts_down > 100 * with.attempts_down, "{} attempts", without.attempts_down);
    assert!(with.most_open > 6_000, "what came in waited: {}", with.most_open);
    assert!(with.most_bytes() < 200 * with.most_open as usize, "{} bytes", with.most_bytes());
}

#[test]
fn a_recovery_is_noticed_within_five_minutes_and_the_backlog_goes_within_the_caps() {
    for shards in [1, 8] {
        let plan = Plan { shards, ..plan() };
        let found = run(&plan);
        all_arrived(&found);
        assert!(found.most_at_once <= LEASES * u64::from(shards), "{} at once", found.most_at_once);
        let latest = found.noticed_ms.iter().max().expect("there are shards");
        assert!(*latest <= 5 * MINUTE_MS + 1_000, "noticed after {latest} ms");
        // A cap of 64 requests of 100 ms each.
        let most = 640 * u32::from(shards);
        assert!(found.peak(1, recovery(&plan)) <= most, "{} in a second", found.peak(1, recovery(&plan)));
        assert!(found.caught_up_ms <= 6 * MINUTE_MS, "caught up after {} ms", found.caught_up_ms);
    }
}

#[test]
fn shards_come_back_one_by_one() {
    let found = run(&Plan { shards: 8, ..plan() });
    let mut noticed = found.noticed_ms.clone();
    noticed.sort_unstable();
    let apart = noticed.last().expect("there are shards") - noticed[0];
    assert!(apart > MINUTE_MS, "all shards came back within {apart} ms: {noticed:?}");
}

#[test]
fn a_rate_limit_holds_at_recovery_over_all_shards() {
    for shards in [1, 8] {
        let plan = Plan { shards, limit: RateLimit::new(20, 1_000), ..plan() };
        let found = run(&plan);
        all_arrived(&found);
        let peak = found.peak(10, recovery(&plan));
        assert!(peak <= 210, "{peak} in ten seconds of 200");
        assert!(peak >= 190, "the limit is used: {peak}");
        // What waited goes at what the limit leaves beside what comes in.
        assert!(found.caught_up_ms <= 10 * MINUTE_MS, "caught up after {} ms", found.caught_up_ms);
    }
}

#[test]
fn an_endpoint_that_takes_its_timeout_before_it_fails_costs_no_more_attempts() {
    let found = run(&Plan { down: (Outcome::Timeout, 25_000), ..plan() });
    all_arrived(&found);
    assert!(found.attempts_down < 250, "{} attempts", found.attempts_down);
}

#[test]
fn of_what_waited_longer_than_its_window_only_probes_are_given_up() {
    // Down for a day longer than the window.
    let plan = Plan::new(2_000, 2 * HOUR_MS, (HOUR_MS, HOUR_MS + 4 * DAY_MS));
    let found = run(&plan);
    assert_eq!(found.delivered + found.exhausted, 2_000);
    // In that day a probe every five minutes at the most often, but for what dice take off.
    assert!((1..=320).contains(&found.exhausted), "{} given up", found.exhausted);
}

#[test]
fn a_world_is_decided_by_its_seed() {
    assert_eq!(run(&plan()), run(&plan()));
    assert_ne!(run(&plan()), run(&Plan { seed: 2, ..plan() }));
}
