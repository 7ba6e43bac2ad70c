//! How a world is drawn from its seed: who sends what where, and what goes wrong when.

use std::collections::BTreeMap;
use std::rc::Rc;

use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::schedule::{
    MAX_FACTOR, MAX_GAP_MS, MAX_JITTER, MAX_WINDOW_MS, MIN_FIRST_MS, RetryAfterUnit, RetryPolicy,
};
use varde_core::slug::Slug;
use varde_core::time::{HOUR_MS, MINUTE_MS, SECOND_MS, UnixMs};

use crate::dice::Dice;
use crate::endpoint::Endpoint;
use crate::outbox::{Caps, Terms};
use crate::trace::START;

/// The shell's.
const CAPS: Caps = Caps { per_call: 6, per_action: 64 };
/// Retries that a policy is cut to, so that a world stays small.
const MOST_RETRIES: u64 = 25;

/// Deliveries that come in with one accept.
pub type Batch = Vec<(DeliveryId, Rc<Terms>)>;

/// How much goes wrong besides the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Still,
    Fair,
    Stormy,
}

/// Something that goes wrong, or that a person wants, at its moment.
#[derive(Debug, Clone)]
pub enum Incident {
    /// The platform takes the idle object out of memory.
    Evicted,
    /// The whole process dies: object, senders and all that is on its way.
    Killed,
    /// One invocation of the Worker is gone.
    SenderDies,
    /// The alarm rings though nobody set it to.
    EarlyAlarm,
    Pause(Slug),
    Resume(Slug),
    PauseAll,
    ResumeAll,
    /// Of the delivery at this position, counted around.
    Cancel(usize),
    /// The workflow is deleted, and what is open canceled.
    Delete,
}

pub struct Plan {
    /// Of the one outbox.
    pub shard: u8,
    pub caps: Caps,
    pub weather: Weather,
    pub batches: Vec<(UnixMs, Batch)>,
    pub endpoints: BTreeMap<Slug, Endpoint>,
    pub incidents: Vec<(UnixMs, Incident)>,
    /// When things stop going wrong.
    pub calm_at: UnixMs,
    pub sweep_every_ms: u64,
    /// When the last delivery must have ended.
    pub quiet_by: UnixMs,
}

impl Plan {
    pub fn draw(dice: &mut Dice) -> Self {
        let crowd = dice.one_in(20);
        let caps = if crowd && dice.one_in(2) || dice.one_in(3) {
            CAPS
        } else {
            Caps { per_call: dice.between(1, 3) as usize, per_action: dice.between(1, 4) }
        };
        let weather = dice.pick(&[Weather::Still, Weather::Fair, Weather::Fair, Weather::Stormy]);
        let terms: Vec<Rc<Terms>> = (0..dice.between(1, 4)).map(|n| Rc::new(draw_terms(n, dice))).collect();
        let longest_ms = terms.iter().map(|terms| terms.retry.max_age_ms).max().unwrap_or_default();
        let lasts_ms = dice.magnitude(10 * SECOND_MS, (longest_ms * 3 / 2).max(MINUTE_MS));
        let calm_at = START.plus_ms(lasts_ms);
        let shard = dice.between(0, 63) as u8;
        let batches = draw_batches(&terms, shard, crowd, lasts_ms, dice);
        let endpoints =
            terms.iter().map(|terms| (terms.action.clone(), Endpoint::draw(dice, START, calm_at))).collect();
        let incidents = draw_incidents(&terms, weather, lasts_ms, dice);
        // In production every outbox has its turn only now and then, too.
        let sweep_every_ms = (5 * MINUTE_MS).max((lasts_ms + longest_ms) / 60);
        let quiet_by = calm_at.plus_ms(longest_ms + 3 * sweep_every_ms + 3 * HOUR_MS);
        Self { shard, caps, weather, batches, endpoints, incidents, calm_at, sweep_every_ms, quiet_by }
    }
}

fn draw_terms(number: u64, dice: &mut Dice) -> Terms {
    Terms {
        action: format!("action-{number}").parse().expect("a slug"),
        timeout_ms: dice.magnitude(1_000, 28_000),
        retry: draw_policy(dice),
        request: dice.throw(),
        unsendable: (number > 0 && dice.one_in(12)).then_some("missing_output"),
    }
}

/// Any policy within the limits, but for the window: that is cut to a number of retries.
fn draw_policy(dice: &mut Dice) -> RetryPolicy {
    if dice.one_in(10) {
        return RetryPolicy::default();
    }
    let (most_first_ms, most_ms) = dice.pick(&[
        (5 * SECOND_MS, MINUTE_MS),
        (5 * SECOND_MS, 10 * MINUTE_MS),
        (5 * SECOND_MS, MAX_GAP_MS),
        (10 * MINUTE_MS, MAX_GAP_MS),
        (MAX_GAP_MS, MAX_GAP_MS),
    ]);
    let first_ms = dice.magnitude(MIN_FIRST_MS, most_first_ms);
    let max_ms = dice.magnitude(first_ms, most_ms);
    let any_factor = 1.0 + dice.fraction() * (MAX_FACTOR - 1.0);
    let factor = dice.pick(&[1.0, 1.5, 2.0, any_factor]);
    let any_jitter = dice.fraction() * MAX_JITTER;
    let jitter = dice.pick(&[0.0, 0.1, any_jitter]);
    let gaps = (0..dice.between(0, MOST_RETRIES) as i32)
        .map(|n| (first_ms as f64 * f64::powi(factor, n)).min(max_ms as f64))
        .sum::<f64>();
    let max_age_ms = ((gaps * (0.8 + 0.4 * dice.fraction())) as u64).min(MAX_WINDOW_MS);
    let retry_after_unit = dice.pick(&[RetryAfterUnit::Milliseconds, RetryAfterUnit::Seconds]);
    let also_retry = dice.pick(&[vec![], vec![], vec![408, 425], vec![404, 410]]);
    RetryPolicy { first_ms, factor, max_ms, max_age_ms, jitter, retry_after_unit, also_retry }
}

fn draw_batches(
    terms: &[Rc<Terms>],
    shard: u8,
    crowd: bool,
    lasts_ms: u64,
    dice: &mut Dice,
) -> Vec<(UnixMs, Batch)> {
    let number = dice.between(1, if crowd { 3 } else { 8 });
    let most = if crowd { 60 } else { 3 };
    (0..number)
        .map(|_| {
            let at = dice.moment(START, lasts_ms / 2);
            let size = dice.between(1, most);
            let batch = (0..size)
                .map(|_| {
                    let random = u128::from(dice.throw()) << 64 | u128::from(dice.throw());
                    let id = EnrollmentId::mint(at, shard, random).first_delivery();
                    (id, dice.pick(terms))
                })
                .collect();
            (at, batch)
        })
        .collect()
}

fn draw_incidents(
    terms: &[Rc<Terms>],
    weather: Weather,
    lasts_ms: u64,
    dice: &mut Dice,
) -> Vec<(UnixMs, Incident)> {
    let mut incidents = Vec::new();
    let mishaps = match weather {
        Weather::Still => 0,
        Weather::Fair => dice.between(0, 4),
        Weather::Stormy => dice.between(4, 12),
    };
    for _ in 0..mishaps {
        let kinds = [Incident::Evicted, Incident::Killed, Incident::SenderDies, Incident::EarlyAlarm];
        incidents.push((dice.moment(START, lasts_ms), dice.pick(&kinds)));
    }
    for _ in 0..dice.between(0, 4) {
        let action = dice.pick(terms).action.clone();
        let wish = match dice.between(0, 9) {
            0..=2 => Incident::Cancel(dice.throw() as usize),
            3..=4 => Incident::Resume(action),
            5..=7 => Incident::Pause(action),
            8 => Incident::PauseAll,
            _ => Incident::ResumeAll,
        };
        incidents.push((dice.moment(START, lasts_ms), wish));
    }
    if dice.one_in(40) {
        incidents.push((dice.moment(START, lasts_ms), Incident::Delete));
    }
    incidents
}
