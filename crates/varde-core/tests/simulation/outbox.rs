//! A model of the outbox, written the way `src/outbox_do` is: rows, lanes, a ledger in memory, one alarm
//! slot. What it may not know is that it is a model: it is told the time, and decides nothing that
//! [`Delivery::step`] decides.
//!
//! A call changes the [`Disk`] all at once, as rows and alarm change in one commit; the world may kill the
//! object before or after that. Memory dies with the object and is rebuilt from rows.

use std::collections::BTreeMap;
use std::rc::Rc;

use varde_core::controls::Controls;
use varde_core::delivery::{Circumstances, Delivery, Effect, Event, Refused, State, Step};
use varde_core::ids::DeliveryId;
use varde_core::schedule::RetryPolicy;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::dice::Dice;

/// How many leases there may be; the shell's constants, or less so that few deliveries meet them.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// One accept hands out, one sender takes.
    pub per_call: usize,
    /// Out at the same time for one action.
    pub per_action: u64,
}

/// What is fixed with a delivery.
#[derive(Debug)]
pub struct Terms {
    pub action: Slug,
    pub timeout_ms: u64,
    pub retry: RetryPolicy,
    /// Stands for the rendered request.
    pub request: u64,
    /// Why there is nothing to send.
    pub unsendable: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub delivery: Delivery,
    pub terms: Rc<Terms>,
}

/// What is left after a death.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub rows: BTreeMap<DeliveryId, Row>,
    /// Counters of what has ended, by action and status.
    pub ended: BTreeMap<(Slug, &'static str), u64>,
    pub controls: Controls,
    /// Actions found gone here that the registry hasn't been told of yet.
    pub untold: Vec<Slug>,
    pub alarm: Option<UnixMs>,
}

/// What is rebuilt from rows.
#[derive(Debug, Clone)]
pub struct Memory {
    pub accounts: BTreeMap<Slug, Account>,
    /// Where the alarm stands, as far as the object knows.
    pub armed: Option<UnixMs>,
}

#[derive(Debug, Clone, Default)]
pub struct Account {
    pub scheduled: u64,
    pub in_flight: u64,
    pub held: u64,
    /// No scheduled delivery is due before this; `None` when the rows must be asked.
    pub earliest_due: Option<UnixMs>,
}

/// What the referee is told of each commit.
#[derive(Debug)]
pub enum Witness {
    Inserted { id: DeliveryId, terms: Rc<Terms>, fresh: Delivery },
    Stepped { id: DeliveryId, event: Event<'static>, now: UnixMs, found: Result<Step, Refused> },
}

/// Ways to build an outbox wrongly: the referee must notice each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A retry is stored and the alarm left as it is.
    ForgetsToArm,
    /// The alarm is set to whatever came last.
    MovesAlarmLater,
    /// A check believes that the alarm stands where memory says.
    TrustsMemory,
    /// Due work of an action at its cap keeps the alarm ringing.
    RingsAtCap,
    /// As many leases as there are due deliveries.
    IgnoresCap,
    /// Leases are handed out and, now and then, not stored.
    HandsOutUnstored,
    /// A 410 pauses the action and leaves telling the registry to an alarm that nobody sets.
    KeepsGoneToItself,
    /// Deliveries of a paused action are leased out.
    SendsWhilePaused,
    /// A release leaves a row as it is.
    LeavesHeld,
    /// What has ended isn't counted after a retry.
    Miscounts,
}

pub struct Outbox {
    pub disk: Disk,
    pub memory: Option<Memory>,
    pub caps: Caps,
    pub dice: Dice,
    pub sabotage: Option<Sabotage>,
    /// Everything since the world last looked.
    pub witnessed: Vec<Witness>,
    /// Steps so far.
    pub counted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Scheduled,
    InFlight,
    Held,
}

impl Lane {
    pub const fn of(state: &State) -> Option<Self> {
        match state {
            State::Scheduled { .. } => Some(Self::Scheduled),
            State::InFlight { .. } => Some(Self::InFlight),
            State::Held { .. } => Some(Self::Held),
            _ => None,
        }
    }
}

impl Account {
    pub const fn open(&self) -> u64 {
        self.scheduled + self.in_flight + self.held
    }

    const fn lane(&mut self, lane: Lane) -> &mut u64 {
        match lane {
            Lane::Scheduled => &mut self.scheduled,
            Lane::InFlight => &mut self.in_flight,
            Lane::Held => &mut self.held,
        }
    }
}

impl Disk {
    /// Why an action is paused: by the registry's word, or by a 410 seen here.
    pub fn is_paused(&self, action: &Slug) -> bool {
        self.controls.pause_reason(action).is_some() || self.untold.contains(action)
    }

    /// Deliveries of a lane and action that wake at or before `until`, longest waiting first.
    pub fn waking(&self, lane: Lane, action: &Slug, until: UnixMs) -> Vec<(UnixMs, DeliveryId)> {
        let mut found: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| Lane::of(&row.delivery.state) == Some(lane) && row.terms.action == *action)
            .map(|(id, row)| (wakes_at(&row.delivery.state), *id))
            .filter(|(at, _)| *at <= until)
            .collect();
        found.sort_unstable();
        found
    }

    fn first_waking(&self, lane: Lane, action: &Slug) -> Option<UnixMs> {
        let of_lane = |row: &&Row| Lane::of(&row.delivery.state) == Some(lane) && row.terms.action == *action;
        self.rows.values().filter(of_lane).map(|row| wakes_at(&row.delivery.state)).min()
    }
}

/// Of a held delivery not a wake-up: only the order in which it is released.
fn wakes_at(state: &State) -> UnixMs {
    match *state {
        State::Held { due, .. } => due,
        _ => state.wakes_at().unwrap_or(UnixMs(u64::MAX)),
    }
}

impl Outbox {
    pub fn new(caps: Caps, dice: Dice, sabotage: Option<Sabotage>) -> Self {
        Self { disk: Disk::default(), memory: None, caps, dice, sabotage, witnessed: Vec::new(), counted: 0 }
    }

    /// The object is gone from memory; the next event builds it anew.
    pub fn dies(&mut self) {
        self.memory = None;
    }

    /// Rebuilds the memory at the first event after a start, and sees to it that open work has an alarm.
    pub fn wake_up(&mut self, now: UnixMs) {
        if self.memory.is_some() {
            return;
        }
        let mut accounts: BTreeMap<Slug, Account> = BTreeMap::new();
        for row in self.disk.rows.values_mut() {
            // The stored form is all that is left of it.
            let stored = serde_json::to_string(&row.delivery).expect("a delivery is JSON");
            row.delivery = serde_json::from_str(&stored).expect("JSON of a delivery");
            if let Some(lane) = Lane::of(&row.delivery.state) {
                *accounts.entry(row.terms.action.clone()).or_default().lane(lane) += 1;
            }
        }
        self.memory = Some(Memory { accounts, armed: self.disk.alarm });
        self.arm_for_open_work(now);
    }

    pub fn memory(&mut self) -> &mut Memory {
        self.memory.as_mut().expect("every call begins with wake_up")
    }

    pub fn account(&mut self, action: &Slug) -> &mut Account {
        let unknown = || Account { earliest_due: Some(UnixMs(u64::MAX)), ..Account::default() };
        self.memory().accounts.entry(action.clone()).or_insert_with(unknown)
    }

    pub fn actions(&self) -> Vec<Slug> {
        self.memory.iter().flat_map(|memory| memory.accounts.keys().cloned()).collect()
    }

    /// Moves the alarm to `at`, if it isn't set to ring before.
    pub fn arm(&mut self, at: UnixMs) {
        let later_is_fine = self.sabotage != Some(Sabotage::MovesAlarmLater);
        if later_is_fine && self.memory().armed.is_some_and(|armed| armed <= at) {
            return;
        }
        self.set_alarm(Some(at));
    }

    pub fn set_alarm(&mut self, at: Option<UnixMs>) {
        self.memory().armed = at;
        self.disk.alarm = at;
    }

    pub fn arm_for_open_work(&mut self, now: UnixMs) {
        if let Some(at) = self.next_wake(now) {
            self.arm(at);
        }
    }

    /// When the alarm must ring next: the first among what may go on.
    pub fn next_wake(&mut self, now: UnixMs) -> Option<UnixMs> {
        let mut wake = Vec::new();
        for action in self.actions() {
            let Account { scheduled, in_flight, .. } = *self.account(&action);
            let has_room = in_flight < self.caps.per_action || self.sabotage == Some(Sabotage::RingsAtCap);
            if scheduled > 0 && has_room && !self.disk.is_paused(&action) {
                let due = self.disk.first_waking(Lane::Scheduled, &action);
                self.account(&action).earliest_due = Some(due.unwrap_or(UnixMs(u64::MAX)));
                wake.extend(due);
            }
            if in_flight > 0 {
                wake.extend(self.disk.first_waking(Lane::InFlight, &action));
            }
        }
        if !self.misplaced().is_empty() {
            wake.push(now);
        }
        if !self.disk.untold.is_empty() {
            wake.push(now.plus_ms(crate::outbox_alarm::AFTER_ERROR_MS));
        }
        wake.into_iter().min()
    }

    /// Asks the core, with the world watching.
    pub fn step(&mut self, id: DeliveryId, event: &Event<'static>, now: UnixMs) -> Result<Step, Refused> {
        let row = self.disk.rows.get(&id).expect("whoever asks has seen the row");
        let at = Circumstances { now, dice: self.dice.fraction(), policy: &row.terms.retry };
        let found = row.delivery.step(event, at);
        self.counted += 1;
        self.witnessed.push(Witness::Stepped { id, event: event.clone(), now, found: found.clone() });
        found
    }

    /// Stores a step and keeps the ledger in step with it. A delivery of a paused action that would be
    /// scheduled is held instead.
    pub fn store_step(&mut self, id: DeliveryId, step: Step, now: UnixMs) {
        self.store(id, step.delivery);
        let action = self.disk.rows[&id].terms.action.clone();
        for effect in step.effects {
            if let Effect::PauseAction { .. } = effect
                && !self.disk.is_paused(&action)
            {
                self.disk.untold.push(action.clone());
            }
        }
        let state = &self.disk.rows[&id].delivery.state;
        if Lane::of(state) == Some(Lane::Scheduled)
            && self.disk.is_paused(&action)
            && let Ok(held) = self.step(id, &Event::Hold, now)
        {
            self.store(id, held.delivery);
        }
    }

    pub fn store(&mut self, id: DeliveryId, delivery: Delivery) {
        let row = self.disk.rows.get_mut(&id).expect("whoever stores has seen the row");
        let before = std::mem::replace(&mut row.delivery, delivery);
        let (after, action) = (row.delivery.state.clone(), row.terms.action.clone());
        self.moved(&action, Some(&before.state), &after);
    }

    pub fn moved(&mut self, action: &Slug, from: Option<&State>, to: &State) {
        let account = self.account(action);
        if let Some(lane) = from.and_then(Lane::of) {
            *account.lane(lane) -= 1;
        }
        if let State::Scheduled { due, .. } = to {
            account.earliest_due = account.earliest_due.map(|known| known.min(*due));
        }
        match Lane::of(to) {
            Some(lane) => *account.lane(lane) += 1,
            None if self.sabotage == Some(Sabotage::Miscounts) && to.attempt() > 1 => {}
            None => *self.disk.ended.entry((action.clone(), to.status())).or_default() += 1,
        }
    }

    /// Which lanes hold deliveries that the controls want elsewhere, and what brings them there.
    pub fn misplaced(&mut self) -> Vec<(Slug, Lane, Event<'static>)> {
        let mut misplaced = Vec::new();
        for action in self.actions() {
            let paused = self.disk.is_paused(&action);
            let cancels = self.disk.controls.cancel_open;
            let mut account = self.account(&action).clone();
            for lane in [Lane::Scheduled, Lane::Held, Lane::InFlight] {
                let event = match lane {
                    _ if *account.lane(lane) == 0 => continue,
                    _ if cancels => Event::Cancel,
                    Lane::Scheduled if paused => Event::Hold,
                    Lane::Held if !paused && self.sabotage != Some(Sabotage::LeavesHeld) => Event::Release,
                    _ => continue,
                };
                misplaced.push((action.clone(), lane, event));
            }
        }
        misplaced
    }
}
