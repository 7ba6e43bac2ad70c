//! The world around the outbox: a virtual clock, the platform that keeps its alarm, callers, people, the
//! registry, and everything that can go wrong between them.

use std::collections::BTreeMap;

use varde_core::controls::Controls;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::dice::Dice;
use crate::endpoint::Endpoint;
use crate::outbox::{Outbox, Sabotage};
use crate::outbox_calls::{Accepted, Lease};
use crate::plan::{Batch, Incident, Plan, Weather};
use crate::platform::Platform;
use crate::referee::Referee;
use crate::sender::{Errand, News, Sender};
use crate::trace::{START, Trace};

/// Times that a caller asks again when it got no answer.
const ACCEPT_TRIES: u32 = 4;
/// Rings in a row that found nothing to do: more is spinning.
const MOST_IDLE_RINGS: u32 = 3;
/// More events than this aren't a history but a loop.
const MOST_EVENTS: u32 = 200_000;

/// Something that is on its way.
pub enum Happening {
    Accept {
        batch: Batch,
        tries: u32,
    },
    /// A sender takes its errand up.
    Begin(Errand),
    /// A request reaches its endpoint.
    Arrive(Errand),
    /// A sender knows how its attempt ended.
    Report(Errand, News),
    /// News reach the outbox.
    Tell {
        errand: Errand,
        news: News,
        gap_ms: u64,
        again: bool,
    },
    /// The alarm's handler goes on.
    RingTakes {
        untold: Vec<Slug>,
    },
    RingEnds {
        failed: Vec<Lease>,
    },
    Push(Controls),
    Sweep,
    Incident(Incident),
    Calm,
}

pub struct World {
    pub now: UnixMs,
    pub dice: Dice,
    pub outbox: Outbox,
    pub referee: Referee,
    pub trace: Trace,
    pub endpoints: BTreeMap<Slug, Endpoint>,
    pub senders: Vec<Sender>,
    pub registry: Controls,
    pub plan: Plan,
    pub queue: BTreeMap<(UnixMs, u64), Happening>,
    queued: u64,
    pub platform: Platform,
    broken: Option<String>,
}

/// What becomes of the object at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lives,
    DiesBeforeCommit,
    DiesAfterCommit,
    /// Rows written before an error do commit, and the alarm isn't set.
    ErrsBeforeArming,
}

impl World {
    pub fn new(seed: u64, sabotage: Option<Sabotage>, wants_trace: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::draw(&mut dice);
        let outbox = Outbox::new(plan.caps, Dice::new(dice.throw()), sabotage);
        let mut world = Self {
            now: START,
            dice,
            outbox,
            referee: Referee::new(plan.shard),
            trace: Trace::new(wants_trace),
            endpoints: std::mem::take(&mut plan.endpoints),
            senders: Vec::new(),
            registry: Controls::default(),
            queue: BTreeMap::new(),
            queued: 0,
            platform: Platform::default(),
            broken: None,
            plan,
        };
        for (at, batch) in std::mem::take(&mut world.plan.batches) {
            world.put(at, Happening::Accept { batch, tries: 1 });
        }
        for (at, incident) in std::mem::take(&mut world.plan.incidents) {
            world.put(at, Happening::Incident(incident));
        }
        world.put(START.plus_ms(world.plan.sweep_every_ms), Happening::Sweep);
        world.put(world.plan.calm_at, Happening::Calm);
        world
    }

    /// Runs until all is quiet.
    ///
    /// # Errors
    /// What didn't hold, and when.
    pub fn run(&mut self) -> Result<(), String> {
        for _ in 0..MOST_EVENTS {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let rings_at = self.platform.rings_at.filter(|_| !self.platform.ringing);
            match (rings_at, queued) {
                (Some(at), queued) if queued.is_none_or(|queued| at <= queued) => {
                    self.now = self.now.max(at);
                    self.ring("the alarm rings");
                }
                (_, None) => break,
                (_, Some(_)) => {
                    let Some(((at, _), happening)) = self.queue.pop_first() else { break };
                    self.now = self.now.max(at);
                    self.happen(happening)?;
                }
            }
            self.look();
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
            self.watch_alarm();
            if self.platform.idle_rings > MOST_IDLE_RINGS {
                return Err("alarm: it spins".to_owned());
            }
            if self.is_quiet() {
                return self.referee.finish(&self.outbox.disk, self.plan.weather, &mut self.trace);
            }
            if self.now > self.plan.quiet_by {
                self.referee.finish(&self.outbox.disk, self.plan.weather, &mut self.trace)?;
                return Err("lost: nothing is open and it isn't quiet".to_owned());
            }
        }
        Err(format!("lost: not quiet after {MOST_EVENTS} events"))
    }

    pub fn put(&mut self, at: UnixMs, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at, self.queued), happening);
    }

    pub fn is_calm(&self) -> bool {
        self.now >= self.plan.calm_at
    }

    /// Whether something goes wrong that does so once in `n` times in fair weather.
    pub fn mishap(&mut self, n: u64) -> bool {
        if self.is_calm() {
            return false;
        }
        match self.plan.weather {
            Weather::Still => false,
            Weather::Fair => self.dice.one_in(n),
            Weather::Stormy => self.dice.one_in((n / 4).max(2)),
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        if happening.calls_the_outbox() {
            self.platform.idle_rings = 0;
        }
        match happening {
            Happening::Accept { batch, tries } => self.accept(batch, tries),
            Happening::Begin(errand) => self.begin(errand),
            Happening::Arrive(errand) => self.arrive(errand)?,
            Happening::Report(errand, news) => self.report(errand, news),
            Happening::Tell { errand, news, gap_ms, again } => self.tell(errand, news, gap_ms, again),
            Happening::RingTakes { untold } => self.ring_takes(untold),
            Happening::RingEnds { failed } => self.ring_ends(failed),
            Happening::Push(controls) => {
                self.trace.say(self.now, |_| format!("controls come in: {controls:?}"));
                self.call(|outbox, now| outbox.take_controls(controls, now));
            }
            Happening::Sweep => self.sweep(),
            Happening::Incident(incident) => self.incident(incident),
            Happening::Calm => {
                self.trace.note(self.now, "all is calm from here on");
                self.resume_all();
            }
        }
        Ok(())
    }

    /// Calls the outbox. `None`: there was no answer, whatever was committed.
    pub fn call<T>(&mut self, act: impl FnOnce(&mut Outbox, UnixMs) -> T) -> Option<T> {
        let fate = self.fate(250);
        self.fated(fate, act)
    }

    pub fn fate(&mut self, n: u64) -> Fate {
        if self.mishap(n) {
            self.dice.pick(&[Fate::DiesBeforeCommit, Fate::DiesAfterCommit, Fate::ErrsBeforeArming])
        } else {
            Fate::Lives
        }
    }

    pub fn fated<T>(&mut self, fate: Fate, act: impl FnOnce(&mut Outbox, UnixMs) -> T) -> Option<T> {
        let before = (fate != Fate::Lives).then(|| self.outbox.disk.clone());
        let was_up = self.outbox.memory.is_some();
        let answer = act(&mut self.outbox, self.now);
        if !was_up && fate != Fate::DiesBeforeCommit {
            // It looked after its alarm when it woke up.
            if self.referee.alarm_lost {
                self.trace.count("lost alarm found at a start");
            }
            self.referee.alarm_lost = false;
            if !self.platform.ringing {
                self.referee.handler_until = None;
            }
        }
        match (fate, before) {
            (Fate::DiesBeforeCommit, Some(before)) => {
                self.outbox.disk = before;
                self.outbox.witnessed.clear();
            }
            (Fate::ErrsBeforeArming, Some(before)) => {
                self.outbox.disk.alarm = before.alarm;
                self.referee.alarm_lost = true;
            }
            _ => {}
        }
        if fate != Fate::Lives {
            self.outbox.dies();
        }
        self.look();
        let what = match fate {
            Fate::Lives => return Some(answer),
            Fate::DiesBeforeCommit => "the object dies before its commit",
            Fate::DiesAfterCommit => "the object dies after its commit",
            Fate::ErrsBeforeArming => "an error comes after the rows and before the alarm",
        };
        self.trace.note(self.now, what);
        if fate != Fate::ErrsBeforeArming {
            self.handler_is_gone();
        }
        None
    }

    /// Every commit is looked at; the first broken rule counts.
    fn look(&mut self) {
        let seen = self.referee.look(&mut self.outbox, self.now, &mut self.trace);
        if let Err(broken) = seen {
            self.complain(broken);
        }
    }

    fn complain(&mut self, broken: String) {
        self.broken.get_or_insert(broken);
    }

    fn accept(&mut self, batch: Batch, tries: u32) {
        let size = batch.len();
        self.trace.say(self.now, |_| format!("{size} come in, try {tries}"));
        let most = self.dice.between(0, 7) as usize;
        let answer = self.call(|outbox, now| outbox.accept(&batch, most, now));
        let Some((accepted, leases)) = answer.filter(|_| !self.mishap(60)) else {
            self.trace.note(self.now, "an accept isn't answered");
            if tries < ACCEPT_TRIES {
                self.put(self.now.plus_ms(1_000), Happening::Accept { batch, tries: tries + 1 });
            }
            return;
        };
        for ((id, _), accepted) in batch.iter().zip(accepted) {
            match accepted {
                Accepted::Enrolled => self.referee.promise(*id),
                Accepted::Closed => self.trace.count("refused because the workflow is deleted"),
            }
        }
        if leases.len() > self.plan.caps.per_call {
            self.complain(format!("caps: an accept handed out {} leases", leases.len()));
        }
        self.dispatch(leases);
    }

    fn is_quiet(&self) -> bool {
        self.is_calm()
            && !self.platform.ringing
            && self.outbox.disk.alarm.is_none()
            && self.outbox.disk.rows.values().all(|row| !row.delivery.state.is_open())
            && self.queue.values().all(|happening| matches!(happening, Happening::Sweep))
    }
}

impl Happening {
    /// Whether it gives the outbox something new to do, so that its alarm may ring again.
    const fn calls_the_outbox(&self) -> bool {
        matches!(
            self,
            Self::Accept { .. } | Self::Tell { .. } | Self::Push(_) | Self::Sweep | Self::Incident(_)
        )
    }

    pub const fn errand(&self) -> Option<&Errand> {
        match self {
            Self::Begin(errand)
            | Self::Arrive(errand)
            | Self::Report(errand, _)
            | Self::Tell { errand, .. } => Some(errand),
            _ => None,
        }
    }
}
