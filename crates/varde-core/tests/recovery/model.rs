//! A world for large numbers: one action, its shards, days of virtual time, and an endpoint that goes down.
//!
//! Every decision is the core's own: `Delivery::step`, `Breaker`, `Pacer` and `Allowance`. What is modelled of
//! the outbox is what decides about load: who is taken next (the earliest due), how many leases may be out, and
//! when it wakes. Nothing else goes wrong here; that is `tests/simulation.rs`.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use varde_core::breaker::Breaker;
use varde_core::delivery::{Circumstances, Delivery, Event, LEASE_GRACE_MS, State};
use varde_core::outcome::Outcome;
use varde_core::rate::{Allowance, Pacer, RateLimit};
use varde_core::schedule::RetryPolicy;
use varde_core::time::{HOUR_MS, SECOND_MS, UnixMs};

/// Leases that an action has at most in a shard.
pub const LEASES: u64 = 64;

/// What happens in a world.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For the dice.
    pub seed: u64,
    /// Deliveries in all, evenly spread over the time with some dice.
    pub deliveries: u32,
    /// How long they come in, in milliseconds.
    pub over_ms: u64,
    /// From when to when the endpoint is down, in milliseconds from the start.
    pub down_ms: (u64, u64),
    /// How long the endpoint takes for an answer.
    pub latency_ms: u64,
    /// What a call meets while it is down, and after how long.
    pub down: (Outcome, u64),
    /// Shards of the workflow.
    pub shards: u8,
    /// The action's rate limit.
    pub limit: Option<RateLimit>,
    /// Whether there is a breaker; without one every due delivery is tried.
    pub breaker: bool,
    /// When failed attempts are made again.
    pub policy: RetryPolicy,
}

impl Plan {
    /// A workflow with the defaults of everything.
    pub fn new(deliveries: u32, over_ms: u64, down_ms: (u64, u64)) -> Self {
        Self {
            seed: 1,
            deliveries,
            over_ms,
            down_ms,
            latency_ms: 100,
            down: (Outcome::Response { status: 503, retry_after: None }, 100),
            shards: 1,
            limit: None,
            breaker: true,
            policy: RetryPolicy::default(),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Deliveries that arrived.
    pub delivered: u32,
    /// Deliveries whose window was used up.
    pub exhausted: u32,
    /// Attempts in all.
    pub attempts: u64,
    /// Attempts while the endpoint was down.
    pub attempts_down: u64,
    /// Most attempts of one delivery.
    pub most_attempts: u32,
    /// Attempts that began in each second.
    pub by_second: Vec<u32>,
    /// Open deliveries at the end of each hour.
    pub open_by_hour: Vec<u32>,
    /// Most open deliveries.
    pub most_open: u32,
    /// Most requests at the endpoint at once.
    pub most_at_once: u64,
    /// When nothing was overdue any more after the endpoint was back, in milliseconds from then.
    pub caught_up_ms: u64,
    /// When each shard made its first attempt that succeeded after the endpoint was back, likewise.
    pub noticed_ms: Vec<u64>,
}

impl Found {
    /// Bytes that the model held for its deliveries at the most.
    pub fn most_bytes(&self) -> usize {
        self.most_open as usize * (size_of::<(u32, Delivery)>() + size_of::<(UnixMs, u32)>())
    }

    /// Most attempts that began in any so many seconds within a time.
    pub fn peak(&self, seconds: usize, (from_ms, to_ms): (u64, u64)) -> u32 {
        let of = |ms: u64| ((ms / SECOND_MS) as usize).min(self.by_second.len());
        self.by_second[of(from_ms)..of(to_ms)]
            .windows(seconds)
            .map(|window| window.iter().sum())
            .max()
            .unwrap_or(0)
    }
}

/// What may happen next, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Settle { id: u32, lease: u32 },
    Wake { shard: u8 },
    Arrive { id: u32 },
}

/// One shard's outbox, as far as load goes.
#[derive(Default)]
struct Shard {
    scheduled: BTreeSet<(UnixMs, u32)>,
    in_flight: u64,
    breaker: Breaker,
    allowance: Allowance,
    /// When its alarm rings.
    alarm: Option<UnixMs>,
    noticed: bool,
}

struct World<'a> {
    plan: &'a Plan,
    dice: u64,
    now: UnixMs,
    next: BinaryHeap<Reverse<(UnixMs, Next)>>,
    shards: Vec<Shard>,
    pacer: Option<Pacer>,
    open: HashMap<u32, Delivery>,
    at_once: u64,
    hour: u64,
    found: Found,
}

/// Runs a world until everything has ended.
pub fn run(plan: &Plan) -> Found {
    let mut world = World {
        plan,
        dice: plan.seed,
        now: UnixMs(0),
        next: BinaryHeap::new(),
        shards: (0..plan.shards).map(|_| Shard::default()).collect(),
        pacer: plan.limit.map(|limit| Pacer::new(limit, UnixMs(0))),
        open: HashMap::new(),
        at_once: 0,
        hour: 0,
        found: Found { noticed_ms: vec![u64::MAX; plan.shards.into()], ..Found::default() },
    };
    world.plan_arrival(0);
    while let Some(Reverse((at, next))) = world.next.pop() {
        world.pass_to(at);
        match next {
            Next::Arrive { id } => world.arrive(id),
            Next::Settle { id, lease } => world.settle(id, lease),
            Next::Wake { shard } => world.wake(shard),
        }
    }
    assert!(world.open.is_empty(), "{} deliveries are stranded", world.open.len());
    world.found
}

impl World<'_> {
    /// A fraction in `0.0..1.0` (`SplitMix64`).
    fn fraction(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pass_to(&mut self, at: UnixMs) {
        self.now = self.now.max(at);
        while self.hour < self.now.0 / HOUR_MS {
            self.found.open_by_hour.push(self.open.len() as u32);
            self.hour += 1;
        }
    }

    fn plan_arrival(&mut self, id: u32) {
        if id < self.plan.deliveries {
            let place = (f64::from(id) + self.fraction()) / f64::from(self.plan.deliveries);
            let at = UnixMs((place * self.plan.over_ms as f64) as u64);
            self.next.push(Reverse((at, Next::Arrive { id })));
        }
    }

    fn shard_of(&self, id: u32) -> u8 {
        (id % u32::from(self.plan.shards)) as u8
    }

    fn is_down(&self, at: UnixMs) -> bool {
        (self.plan.down_ms.0..self.plan.down_ms.1).contains(&at.0)
    }

    fn arrive(&mut self, id: u32) {
        let shard = self.shard_of(id);
        self.open.insert(id, Delivery::scheduled(self.now));
        self.found.most_open = self.found.most_open.max(self.open.len() as u32);
        self.shards[usize::from(shard)].scheduled.insert((self.now, id));
        self.take(shard);
        self.plan_arrival(id + 1);
    }

    fn wake(&mut self, shard: u8) {
        // One that was moved earlier rings again at its old time: harmless, and the alarm is one slot.
        if self.shards[usize::from(shard)].alarm.is_some_and(|alarm| alarm <= self.now) {
            self.shards[usize::from(shard)].alarm = None;
            self.take(shard);
        }
    }

    /// Leases out what is due and may go, and sets the alarm for the rest.
    fn take(&mut self, number: u8) {
        let now = self.now;
        loop {
            let slots = self.slots(number);
            let shard = &mut self.shards[usize::from(number)];
            let room = if self.plan.breaker {
                shard.breaker.room(shard.in_flight, LEASES, now)
            } else {
                LEASES.saturating_sub(shard.in_flight)
            };
            let due = shard.scheduled.first().copied().filter(|(due, _)| *due <= now);
            let Some((due, id)) = due.filter(|_| room > 0 && slots > 0) else { break };
            shard.scheduled.remove(&(due, id));
            let excused = self.plan.breaker && shard.breaker.held_back(due);
            self.lease(number, id, excused);
        }
        self.arm(number);
    }

    /// Attempts that may begin now, as far as the rate limit goes.
    fn slots(&mut self, number: u8) -> u32 {
        let Some(pacer) = &mut self.pacer else { return u32::MAX };
        let shard = &mut self.shards[usize::from(number)];
        if shard.allowance.is_used_up() {
            // A grant is never for more than a second.
            let most = u64::from(pacer.limit().requests()) * SECOND_MS / pacer.limit().per_ms() + 1;
            let wanted = shard.scheduled.range(..=(self.now, u32::MAX)).take(most as usize).count() as u32;
            if wanted == 0 {
                return 0;
            }
            shard.allowance.take_over(pacer.grant(number, wanted, self.now), self.now);
        }
        shard.allowance.usable(self.now)
    }

    fn lease(&mut self, number: u8, id: u32, excused: bool) {
        let at = Circumstances { now: self.now, dice: 0.0, policy: &self.plan.policy };
        let mut delivery = self.open.remove(&id).expect("it is open");
        if excused {
            delivery = delivery.step(&Event::Excuse, at).expect("it is scheduled").delivery;
        }
        let lease_ms = 25_000 + LEASE_GRACE_MS;
        delivery = delivery.step(&Event::Lease { lease_ms }, at).expect("it is due").delivery;
        if !delivery.state.is_open() {
            self.found.exhausted += 1;
            return;
        }
        let shard = &mut self.shards[usize::from(number)];
        shard.in_flight += 1;
        shard.allowance.use_one();
        self.at_once += 1;
        self.found.most_at_once = self.found.most_at_once.max(self.at_once);
        self.found.attempts += 1;
        self.found.attempts_down += u64::from(self.is_down(self.now));
        let second = (self.now.0 / SECOND_MS) as usize;
        if self.found.by_second.len() <= second {
            self.found.by_second.resize(second + 1, 0);
        }
        self.found.by_second[second] += 1;
        let latency_ms = if self.is_down(self.now) { self.plan.down.1 } else { self.plan.latency_ms };
        let settled = self.now.plus_ms(latency_ms);
        self.next.push(Reverse((settled, Next::Settle { id, lease: delivery.leases })));
        self.open.insert(id, delivery);
    }

    fn settle(&mut self, id: u32, lease: u32) {
        let number = self.shard_of(id);
        let delivery = self.open.remove(&id).expect("it is in flight");
        let State::InFlight { started, .. } = delivery.state else { panic!("it is in flight") };
        let up = Outcome::Response { status: 200, retry_after: None };
        let outcome = if self.is_down(started) { self.plan.down.0 } else { up };
        let (dice, probe_dice) = (self.fraction(), self.fraction());
        let at = Circumstances { now: self.now, dice, policy: &self.plan.policy };
        let event = Event::Settle { lease, outcome, duration_ms: self.now.since_ms(started) };
        let delivery = delivery.step(&event, at).expect("the lease is the current one").delivery;
        let shard = &mut self.shards[usize::from(number)];
        shard.in_flight -= 1;
        self.at_once -= 1;
        shard.breaker.attempted(&outcome, outcome.verdict(&self.plan.policy), started, self.now, probe_dice);
        let back = self.now.0.checked_sub(self.plan.down_ms.1);
        if let Some(since) = back.filter(|_| outcome == up && !shard.noticed) {
            shard.noticed = true;
            self.found.noticed_ms[usize::from(number)] = since;
        }
        match &delivery.state {
            State::Scheduled { due, .. } => {
                shard.scheduled.insert((*due, id));
                self.open.insert(id, delivery);
            }
            State::Delivered { attempt } => {
                self.found.delivered += 1;
                self.found.most_attempts = self.found.most_attempts.max(*attempt);
            }
            State::Exhausted { .. } => self.found.exhausted += 1,
            other => panic!("no settle leads to {other:?}"),
        }
        self.take(number);
        if let Some(since) = back.filter(|_| self.is_behind()) {
            self.found.caught_up_ms = since;
        }
    }

    /// Whether a shard has work that waits for room or a slot.
    fn is_behind(&self) -> bool {
        let behind = self.now.0.saturating_sub(SECOND_MS);
        self.shards.iter().any(|shard| shard.scheduled.first().is_some_and(|(due, _)| due.0 < behind))
    }

    /// Sets the alarm to the earliest due that the breaker and the rate limit let through; what is over the cap
    /// has no time, a settle makes room for it.
    fn arm(&mut self, number: u8) {
        let now = self.now;
        let shard = &mut self.shards[usize::from(number)];
        let Some((due, _)) = shard.scheduled.first().copied() else { return };
        let open = self.plan.breaker && shard.breaker.open().is_some();
        if shard.in_flight >= if open { 1 } else { LEASES } {
            return;
        }
        let mut at = if open { shard.breaker.next_at(due) } else { due };
        if self.plan.limit.is_some() && at <= now {
            at = shard.allowance.next_at(now).unwrap_or(now).max(now.plus_ms(1));
        }
        if shard.alarm.is_none_or(|alarm| at < alarm) {
            shard.alarm = Some(at);
            self.next.push(Reverse((at, Next::Wake { shard: number })));
        }
    }
}
