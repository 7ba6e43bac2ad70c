//! A seeded simulation of one outbox and the world around it, with a virtual clock.
//!
//! **Modelled**: the outbox as `src/outbox_do` is written: rows, lanes, the ledger in memory, leases (6 a
//! call, 64 an action, or fewer so that a small world meets the limits), hand-over, settle, return, controls,
//! and the one alarm slot. Every decision about a delivery is the core's own `Delivery::step`. Around it:
//! callers that repeat, senders with 30 seconds, endpoints in changing moods, people who pause, resume,
//! cancel and delete, a registry that can't always be reached, the sweep.
//!
//! **Goes wrong**: senders die between fetch and settle; settles are lost, late or doubled; hand-overs fail,
//! or only seem to; alarms come early, late, twice or never; the object is evicted, dies before or after a
//! commit, or errs between rows and alarm; the whole process is killed in the middle of a burst. After some
//! time all is calm, and everything must come to its end.
//!
//! **Not modelled**: SQL and its indexes, enrollments with more than one action, rendering and signing, rate
//! limits, order by record, several shards. Rows and alarm change in one commit here because DESIGN says that
//! they do on the platform; the end-to-end tests try that.
//!
//! **What must hold** is the referee's matter (`referee.rs`), and for a single delivery the rules'
//! (`../rules`). A broken rule prints the seed; `VARDE_SEED=<n> cargo test -p varde-core --test simulation`
//! runs exactly that world again and tells its whole story (with `-- --nocapture` also a good one's).
//! `VARDE_SEEDS=<n>` runs more of them.

#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/endpoint.rs"]
mod endpoint;
#[path = "simulation/incidents.rs"]
mod incidents;
#[path = "simulation/outbox.rs"]
mod outbox;
#[path = "simulation/outbox_alarm.rs"]
mod outbox_alarm;
#[path = "simulation/outbox_calls.rs"]
mod outbox_calls;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/platform.rs"]
mod platform;
#[path = "simulation/referee.rs"]
mod referee;
#[path = "rules/mod.rs"]
mod rules;
#[path = "simulation/sender.rs"]
mod sender;
#[path = "simulation/trace.rs"]
mod trace;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::outbox::Sabotage;
use self::trace::Tally;
use self::world::World;

/// Worlds of one run.
const SEEDS: u64 = 2_000;
/// What must happen somewhere in them: a world that never meets trouble proves nothing.
const MUST_HAPPEN: [&str; 42] = [
    "answered",
    "attempt past the window",
    "a hand-over fails",
    "a push of controls gets lost",
    "a settle is given up",
    "all 64 leases out",
    "all leases of a small cap out",
    "an accept isn't answered",
    "an error comes after the rows and before the alarm",
    "blocked",
    "canceled",
    "canceled after an attempt",
    "death of a sender",
    "deletion",
    "delivered",
    "due work handed back with an answer",
    "duplicate with an excuse",
    "event: return",
    "event: unsendable",
    "eviction",
    "exhausted",
    "gone",
    "kill",
    "late alarm",
    "late good news",
    "lost",
    "lost alarm found at a start",
    "lost alarm found by the sweep",
    "news aren't answered",
    "news get lost",
    "no connection",
    "pause",
    "pause of the workflow",
    "rejected",
    "stale_lease",
    "the alarm rings early",
    "the alarm rings twice",
    "the object dies after its commit",
    "the object dies before its commit",
    "timeout",
    "told when to retry",
    "window over before a lease",
];
/// Lines of a broken world's story that are printed without being asked.
const LAST_LINES: usize = 40;

/// Runs one world to its end.
fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Tally, String> {
    let mut world = World::new(seed, sabotage, false);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_| Err("panic".to_owned()));
    outcome.map(|()| world.trace.tally)
}

/// Runs it again, this time with its story.
fn story(seed: u64, sabotage: Option<Sabotage>) -> (Vec<String>, Result<(), String>) {
    let mut world = World::new(seed, sabotage, true);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_| Err("panic".to_owned()));
    (world.trace.into_lines(), outcome)
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, found `{text}`")))
}

#[test]
fn nothing_is_lost_in_any_world() {
    if let Some(seed) = from_environment("VARDE_SEED") {
        let (lines, outcome) = story(seed, None);
        eprintln!("{}", lines.join("\n"));
        outcome.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        return;
    }
    let seeds = from_environment("VARDE_SEEDS").unwrap_or(SEEDS);
    let mut tally = Tally::new();
    for seed in 1..=seeds {
        match run(seed, None) {
            Ok(counts) => {
                for (what, count) in counts {
                    *tally.entry(what).or_default() += count;
                }
            }
            Err(broken) => panic!("{}", obituary(seed, &broken)),
        }
    }
    eprintln!("{tally:#?}");
    let never: Vec<_> = MUST_HAPPEN.iter().filter(|what| !tally.contains_key(**what)).collect();
    assert!(never.is_empty() || seeds < SEEDS, "in no world: {never:?}");
}

/// How a world came to its bad end.
fn obituary(seed: u64, broken: &str) -> String {
    let (lines, _) = story(seed, None);
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    let again = format!("VARDE_SEED={seed} cargo test -p varde-core --test simulation");
    format!("the end of its story:\n{last}\n\nseed {seed}: {broken}\nthe whole story: {again}\n")
}

#[test]
fn an_outbox_built_wrongly_is_noticed() {
    for (sabotage, rule) in [
        (Sabotage::ForgetsToArm, "alarm: "),
        (Sabotage::MovesAlarmLater, "alarm: "),
        (Sabotage::TrustsMemory, "alarm: "),
        (Sabotage::RingsAtCap, "alarm: it spins"),
        (Sabotage::IgnoresCap, "caps: "),
        (Sabotage::HandsOutUnstored, "lease: "),
        (Sabotage::KeepsGoneToItself, "alarm: "),
        (Sabotage::SendsWhilePaused, "paused: "),
        (Sabotage::LeavesHeld, "alarm: "),
        (Sabotage::Miscounts, "accounting: "),
    ] {
        let broken =
            (1..=200).find_map(|seed| run(seed, Some(sabotage)).err().filter(|one| one.starts_with(rule)));
        assert!(broken.is_some(), "{sabotage:?} broke no rule of `{rule}`");
    }
}

#[test]
fn a_seed_is_a_world() {
    for seed in [1, 7, 1_000_003] {
        assert_eq!(story(seed, None), story(seed, None));
    }
    assert_ne!(story(1, None).0, story(2, None).0);
}
