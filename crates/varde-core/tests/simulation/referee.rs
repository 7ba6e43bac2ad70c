//! What must hold in every world after every event. The referee sees the disk, what the core was asked and
//! said, and what endpoints received; of the outbox's memory it believes nothing.

use std::collections::{BTreeMap, BTreeSet};

use varde_core::delivery::{Event, State};
use varde_core::ids::DeliveryId;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;

use crate::outbox::{Disk, Lane, Outbox, Witness};
use crate::outbox_alarm::{AFTER_ERROR_MS, WHILE_WORKING_MS};
use crate::outbox_calls::Lease;
use crate::plan::Weather;
use crate::rules::Chronicle;
use crate::trace::{Trace, clock};

/// A request as an endpoint received it.
#[derive(Debug)]
struct Receipt {
    lease: u32,
    attempt: u32,
    /// Whether the endpoint has the delivery since.
    taken: bool,
}

#[derive(Default)]
pub struct Referee {
    shard: u8,
    chronicles: BTreeMap<DeliveryId, Chronicle>,
    requests: BTreeMap<DeliveryId, u64>,
    /// Deliveries whose caller was told that they are accepted.
    promised: BTreeSet<DeliveryId>,
    receipts: BTreeMap<DeliveryId, Vec<Receipt>>,
    /// Leases that something happened to, so that what they made may be made again.
    excuses: BTreeSet<(DeliveryId, u32)>,
    /// Of the controls in force.
    controls_version: u64,
    /// The script lost the alarm, or an error came before it was set: until the next check there may be
    /// none.
    pub alarm_lost: bool,
    /// Until when a handler that is at work, or died at it, may leave due work alone.
    pub handler_until: Option<UnixMs>,
}

impl Referee {
    pub fn new(shard: u8) -> Self {
        Self { shard, ..Self::default() }
    }

    pub fn promise(&mut self, id: DeliveryId) {
        self.promised.insert(id);
    }

    pub fn excuse(&mut self, lease: &Lease) {
        self.excuses.insert((lease.delivery, lease.number));
    }

    pub const fn handler_begins(&mut self, now: UnixMs) {
        self.handler_until = Some(now.plus_ms(WHILE_WORKING_MS));
    }

    /// A handler went wrong and set the alarm to ring soon.
    pub const fn handler_errs(&mut self, now: UnixMs) {
        self.alarm_lost = false;
        self.handler_until = Some(now.plus_ms(AFTER_ERROR_MS));
    }

    /// The object looked where its alarm must be, with no handler at work.
    pub const fn alarm_checked(&mut self) {
        self.alarm_lost = false;
        self.handler_until = None;
    }

    /// An endpoint received a request with this `webhook-id`.
    ///
    /// # Errors
    /// When it is a duplicate without an excuse, or isn't what was accepted.
    pub fn received(&mut self, webhook_id: &str, lease: &Lease, taken: bool) -> Result<(), String> {
        let id: DeliveryId = webhook_id.parse().map_err(|_| format!("id: `{webhook_id}` is none"))?;
        if self.requests.get(&id) != Some(&lease.terms.request) {
            return Err(format!("id: {id} came with another request than it was accepted with"));
        }
        let receipts = self.receipts.entry(id).or_default();
        if receipts.iter().any(|earlier| earlier.lease == lease.number) {
            return Err(format!("lease: {id} was sent twice by lease {}", lease.number));
        }
        receipts.push(Receipt { lease: lease.number, attempt: lease.attempt, taken });
        let mut takers: Vec<_> = receipts.iter().filter(|one| one.taken).map(|one| one.lease).collect();
        takers.sort_unstable();
        takers.pop();
        match takers.into_iter().find(|lease| taken && !self.excuses.contains(&(id, *lease))) {
            Some(lease) => {
                Err(format!("duplicate: {id} came again though nothing happened to lease {lease}"))
            }
            None => Ok(()),
        }
    }

    /// Looks at the world after an event.
    ///
    /// # Errors
    /// What doesn't hold.
    pub fn look(&mut self, outbox: &mut Outbox, now: UnixMs, trace: &mut Trace) -> Result<(), String> {
        for witness in outbox.witnessed.drain(..) {
            trace.witnessed(now, &witness);
            self.witness(witness, &outbox.disk)?;
        }
        if outbox.disk.controls.version < self.controls_version {
            return Err(format!("controls: they went back to version {}", outbox.disk.controls.version));
        }
        self.controls_version = outbox.disk.controls.version;
        self.rows(&outbox.disk)?;
        caps(outbox, trace)?;
        accounting(outbox)?;
        self.alarm(outbox, now)
    }

    fn witness(&mut self, witness: Witness, disk: &Disk) -> Result<(), String> {
        match witness {
            Witness::Inserted { id, terms, fresh } => {
                if id.shard() != self.shard {
                    return Err(format!("id: {id} says shard {} and lives in {}", id.shard(), self.shard));
                }
                let chronicle = Chronicle::begin(fresh, terms.retry.clone());
                if self.chronicles.insert(id, chronicle).is_some() {
                    return Err(format!("id: {id} was inserted twice"));
                }
                self.requests.insert(id, terms.request);
            }
            Witness::Stepped { id, event, now, found } => {
                let chronicle = self.chronicles.get_mut(&id).ok_or_else(|| format!("id: {id} is unknown"))?;
                chronicle.witness(&event, now, &found).map_err(|broken| format!("rules: {id}: {broken}"))?;
                let action = &disk.rows[&id].terms.action;
                if matches!(event, Event::Lease { .. }) && disk.is_paused(action) {
                    return Err(format!("paused: {id} was leased out while {action} is paused"));
                }
            }
        }
        Ok(())
    }

    /// What was committed is there and nothing else: no row vanishes, none changes but by a step, and so
    /// none that has ended.
    fn rows(&self, disk: &Disk) -> Result<(), String> {
        if disk.rows.len() != self.chronicles.len() {
            return Err(format!("rows: {} are there of {}", disk.rows.len(), self.chronicles.len()));
        }
        for ((id, row), (known_id, chronicle)) in disk.rows.iter().zip(&self.chronicles) {
            if id != known_id || row.delivery != chronicle.known {
                let (found, known) = (&row.delivery, &chronicle.known);
                return Err(format!("rows: {id} is {found:?}, and {known_id} was left as {known:?}"));
            }
        }
        match self.promised.iter().find(|id| !disk.rows.contains_key(id)) {
            Some(id) => Err(format!("rows: {id} was accepted and isn't there")),
            None => Ok(()),
        }
    }

    /// Work that may go on has the alarm at or before its time; what was due before it could go on (over a
    /// cap, held) has one that rings at once.
    fn alarm(&self, outbox: &Outbox, now: UnixMs) -> Result<(), String> {
        let Some(work) = next_work(outbox, now) else { return Ok(()) };
        if self.alarm_lost {
            return Ok(());
        }
        let latest = self.handler_until.map_or(work, |until| until.max(work)).max(now);
        match outbox.disk.alarm {
            Some(at) if at <= latest => Ok(()),
            Some(at) => {
                Err(format!("alarm: it stands at {} and work is due at {}", clock(at), clock(latest)))
            }
            None => Err(format!("alarm: there is none and work is due at {}", clock(latest))),
        }
    }

    /// When nothing is left to do: every delivery ended, and in a way that its receiver agrees with.
    ///
    /// # Errors
    /// What was lost.
    pub fn finish(&self, disk: &Disk, weather: Weather, trace: &mut Trace) -> Result<(), String> {
        for (id, row) in &disk.rows {
            let state = &row.delivery.state;
            if weather == Weather::Still && row.delivery.lost > 0 {
                return Err(format!("lost: nothing happened and {id} lost a lease"));
            }
            if state.is_open() {
                return Err(format!("lost: {id} is still {state:?}"));
            }
            let receipts = self.receipts.get(id).map_or(&[][..], Vec::as_slice);
            let taken = receipts.iter().filter(|receipt| receipt.taken).count();
            match state {
                State::Delivered { .. } if taken == 0 => {
                    return Err(format!("lost: {id} counts as delivered and nobody has it"));
                }
                State::Exhausted { attempt: 0, .. } => {
                    return Err(format!("lost: {id} was given up untried"));
                }
                State::Rejected { reason, .. } if receipts.is_empty() => {
                    let nothing_sent = reason == "blocked_url" || Some(&**reason) == row.terms.unsendable;
                    if !nothing_sent {
                        return Err(format!("lost: {id} was rejected for {reason} and nobody saw it"));
                    }
                }
                _ => {}
            }
            if let Some(receipt) = receipts.iter().find(|receipt| receipt.attempt > receipt.lease) {
                return Err(format!("lease: {id} has more attempts than leases: {receipt:?}"));
            }
            if taken > 1 {
                trace.count("duplicate with an excuse");
            }
        }
        Ok(())
    }
}

/// When work that may go on is due, by the rows.
fn next_work(outbox: &Outbox, now: UnixMs) -> Option<UnixMs> {
    let disk = &outbox.disk;
    let in_flight = in_flight(disk);
    let dues = disk.rows.values().filter_map(|row| {
        let action = &row.terms.action;
        let paused = disk.is_paused(action);
        match row.delivery.state {
            State::InFlight { deadline, .. } => Some(deadline),
            // A row that disagrees with the controls is work, too.
            State::Scheduled { .. } if paused => Some(now),
            State::Held { .. } if !paused => Some(now),
            State::Scheduled { due, .. } => {
                let has_room = in_flight.get(action).is_none_or(|count| *count < outbox.caps.per_action);
                has_room.then_some(due)
            }
            _ => None,
        }
    });
    let untold = (!disk.untold.is_empty()).then(|| now.plus_ms(AFTER_ERROR_MS));
    dues.chain(untold).min()
}

fn in_flight(disk: &Disk) -> BTreeMap<&Slug, u64> {
    let mut counts = BTreeMap::new();
    for row in disk.rows.values() {
        if Lane::of(&row.delivery.state) == Some(Lane::InFlight) {
            *counts.entry(&row.terms.action).or_default() += 1;
        }
    }
    counts
}

fn caps(outbox: &Outbox, trace: &mut Trace) -> Result<(), String> {
    let most = outbox.caps.per_action;
    for (action, count) in in_flight(&outbox.disk) {
        if count > most {
            return Err(format!("caps: {action} has {count} leases out of {most}"));
        }
        if count == most {
            trace.count(if most == 64 { "all 64 leases out" } else { "all leases of a small cap out" });
        }
    }
    Ok(())
}

/// `accepted = delivered + rejected + exhausted + canceled + open`, and the ledger says what the rows say.
fn accounting(outbox: &Outbox) -> Result<(), String> {
    let ended: u64 = outbox.disk.ended.values().sum();
    let open = outbox.disk.rows.values().filter(|row| row.delivery.state.is_open()).count() as u64;
    let accepted = outbox.disk.rows.len() as u64;
    if accepted != ended + open {
        return Err(format!("accounting: {accepted} accepted, {ended} ended, {open} open"));
    }
    let Some(memory) = &outbox.memory else { return Ok(()) };
    let in_ledger: u64 = memory.accounts.values().map(crate::outbox::Account::open).sum();
    if in_ledger == open {
        Ok(())
    } else {
        Err(format!("accounting: {open} open and {in_ledger} in the ledger"))
    }
}
