//! The other side: what it answers, and when it is in which mood.

use varde_core::outcome::RetryAfter;
use varde_core::schedule::{RetryAfterUnit, RetryPolicy};
use varde_core::time::UnixMs;

use crate::dice::Dice;

/// How an endpoint is for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Fine,
    /// A bit of everything.
    Moody,
    /// Nobody listens.
    Down,
    /// Answers that it is broken.
    Broken,
    /// Asks for patience, and says how much.
    Busy,
    /// Takes the request, or not, and never answers.
    Silent,
    /// Refuses for good.
    Strict,
    /// Says that it is gone.
    Gone,
}

const MOODS: [Mood; 11] = [
    Mood::Fine,
    Mood::Fine,
    Mood::Moody,
    Mood::Moody,
    Mood::Moody,
    Mood::Down,
    Mood::Broken,
    Mood::Busy,
    Mood::Silent,
    Mood::Strict,
    Mood::Gone,
];

/// What an endpoint does with a request that reached it.
#[derive(Debug)]
pub struct Answer {
    /// `None`: it doesn't answer.
    pub status: Option<u16>,
    pub retry_after: Option<RetryAfter>,
    pub after_ms: u64,
    /// Whether it has the delivery now, so that another request is a duplicate to it.
    pub takes_it: bool,
}

#[derive(Debug)]
pub struct Endpoint {
    /// Each until its moment, in order; fine after the last.
    moods: Vec<(UnixMs, Mood)>,
}

impl Endpoint {
    pub fn draw(dice: &mut Dice, from: UnixMs, until: UnixMs) -> Self {
        let changes = dice.between(0, 6);
        let mut times: Vec<_> = (0..changes).map(|_| dice.moment(from, until.since_ms(from))).collect();
        times.sort_unstable();
        times.push(until);
        Self { moods: times.into_iter().map(|at| (at, dice.pick(&MOODS))).collect() }
    }

    fn mood(&self, now: UnixMs) -> Mood {
        self.moods.iter().find(|(until, _)| now < *until).map_or(Mood::Fine, |(_, mood)| *mood)
    }

    /// Whether a connection can be made.
    pub fn listens(&self, now: UnixMs, dice: &mut Dice) -> bool {
        match self.mood(now) {
            Mood::Down => false,
            Mood::Moody => !dice.one_in(6),
            _ => true,
        }
    }

    pub fn answer(&self, now: UnixMs, policy: &RetryPolicy, dice: &mut Dice) -> Answer {
        let mut mood = self.mood(now);
        if mood == Mood::Moody {
            mood = match dice.between(0, 19) {
                0..=5 => Mood::Fine,
                6..=11 => Mood::Broken,
                12..=15 => Mood::Busy,
                16..=17 => Mood::Silent,
                18 => Mood::Strict,
                _ => Mood::Moody,
            };
        }
        let after_ms = dice.magnitude(1, if mood == Mood::Fine { 2_000 } else { 40_000 });
        let answers = |status, retry_after, after_ms| Answer {
            status: Some(status),
            retry_after,
            after_ms,
            takes_it: status / 100 == 2,
        };
        match mood {
            Mood::Fine => answers(dice.pick(&[200, 200, 201, 204, 299]), None, after_ms),
            Mood::Broken => answers(dice.pick(&[500, 502, 301, 302, 522, 530, 503]), None, after_ms),
            Mood::Busy => {
                let status = dice.pick(&[429, 503]);
                answers(status, patience(now, policy, dice), after_ms)
            }
            Mood::Strict => answers(dice.pick(&[400, 401, 404, 408, 422, 425]), None, after_ms),
            Mood::Gone => answers(410, None, after_ms),
            // The whole range, and a Retry-After where it has no meaning.
            Mood::Moody => {
                let status = dice.between(200, 599) as u16;
                answers(if status == 410 { 409 } else { status }, patience(now, policy, dice), after_ms)
            }
            Mood::Down | Mood::Silent => {
                Answer { status: None, retry_after: None, after_ms: 0, takes_it: dice.one_in(2) }
            }
        }
    }
}

/// A `Retry-After` that went over the wire and was read there: a number or a date, short, long, past the
/// window, or in the past.
fn patience(now: UnixMs, policy: &RetryPolicy, dice: &mut Dice) -> Option<RetryAfter> {
    let gap_ms = dice.magnitude(1, 2 * policy.max_age_ms.max(1_000));
    let (header, meant) = match (dice.between(0, 9), policy.retry_after_unit) {
        (0..=5, RetryAfterUnit::Milliseconds) => (gap_ms.to_string(), Some(RetryAfter::Number(gap_ms))),
        (0..=5, RetryAfterUnit::Seconds) => {
            ((gap_ms / 1_000).to_string(), Some(RetryAfter::Number(gap_ms / 1_000)))
        }
        (6, _) => http_date(now.plus_ms(gap_ms)),
        (7, _) => http_date(UnixMs(now.0 - gap_ms)),
        (8, _) => ("in a while".to_owned(), None),
        _ => return None,
    };
    let read = RetryAfter::parse(&header);
    assert_eq!(read, meant, "Retry-After: {header}");
    read
}

/// Dates have whole seconds.
fn http_date(at: UnixMs) -> (String, Option<RetryAfter>) {
    let at = UnixMs(at.as_secs() * 1_000);
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at.0);
    (httpdate::fmt_http_date(date), Some(RetryAfter::At(at)))
}
