//! Two subjects in turn, so that what the machine does besides falls on both.

use crate::failure::Failure;
use crate::load::{Load, Slice, drive};
use crate::report::Report;
use crate::spread::Spread;
use crate::stage::Stage;
use crate::subject::Subject;

/// Slices of two subjects that were driven in turn.
pub struct Pairs {
    /// Varde's.
    pub varde: Vec<Slice>,
    /// The floor's.
    pub floor: Vec<Slice>,
}

/// Columns of a table of pairs.
pub const COLUMNS: [&str; 10] = [
    "load",
    "",
    "accepted /s",
    "delivered /s",
    "ratio",
    "accept p50, p99 (ms)",
    "end to end p50, p99 (ms)",
    "CPU each (ms)",
    "ratio",
    "memory (MB)",
];

impl Pairs {
    /// Drives both in turn, so many times each.
    ///
    /// # Errors
    ///
    /// When one of them fails.
    pub async fn measure(
        stage: &Stage,
        rounds: usize,
        (varde, at): (&Subject, Load),
        (floor, floor_at): (&Subject, Load),
    ) -> Result<Self, Failure> {
        let mut pairs = Self { varde: Vec::new(), floor: Vec::new() };
        for round in 0..rounds {
            // Who goes first changes, so that neither always meets the other's aftermath.
            if round % 2 == 0 {
                pairs.varde.push(drive(varde, at, &stage.ledger).await?);
                pairs.floor.push(drive(floor, floor_at, &stage.ledger).await?);
            } else {
                pairs.floor.push(drive(floor, floor_at, &stage.ledger).await?);
                pairs.varde.push(drive(varde, at, &stage.ledger).await?);
            }
        }
        Ok(pairs)
    }

    /// Varde's figure by the floor's, round by round.
    pub fn ratio(&self, figure: impl Fn(&Slice) -> f64) -> Spread {
        Spread::of(self.varde.iter().zip(&self.floor).map(|(varde, floor)| figure(varde) / figure(floor)))
    }

    /// Two rows.
    pub fn show(&self, report: &mut Report, load: &str) {
        let rate = self.ratio(|slice| slice.delivered_a_second);
        let cpu = self.ratio(|slice| slice.cpu);
        row(report, load, "Varde", &self.varde, (&told(&rate), &told(&cpu)));
        row(report, "", "floor", &self.floor, ("", ""));
    }
}

/// A ratio with its least and most.
pub fn told(ratio: &Spread) -> String {
    format!("**{:.2}** {}", ratio.median(), range(ratio))
}

/// The median of a ratio, and between what it was.
pub fn figure(ratio: &Spread) -> (f64, String) {
    (ratio.median(), range(ratio))
}

fn range(ratio: &Spread) -> String {
    format!("({:.2} to {:.2})", ratio.least(), ratio.most())
}

/// The median of a figure of all slices.
pub fn median(slices: &[Slice], figure: impl Fn(&Slice) -> f64) -> f64 {
    Spread::of(slices.iter().map(figure)).median()
}

fn row(report: &mut Report, load: &str, name: &str, slices: &[Slice], (rate, cpu): (&str, &str)) {
    let of = |figure: fn(&Slice) -> f64| median(slices, figure);
    report.row([
        load.to_owned(),
        name.to_owned(),
        format!("{:.0}", of(|slice| slice.accepted_a_second)),
        format!("{:.0}", of(|slice| slice.delivered_a_second)),
        rate.to_owned(),
        format!("{:.1}, {:.1}", of(|slice| slice.accept.median()), of(|slice| slice.accept.at(0.99))),
        format!("{:.1}, {:.1}", of(|slice| slice.way.median()), of(|slice| slice.way.at(0.99))),
        format!("{:.2}", of(|slice| slice.cpu)),
        cpu.to_owned(),
        format!("{:.0}", of(|slice| slice.memory as f64) / 1e6),
    ]);
}
