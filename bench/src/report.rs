//! What a run found, as `bench/RESULTS.md` shows it.

use std::fmt::Write as _;

/// Goals and tables, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Report {
    goals: Vec<Goal>,
    sections: String,
}

/// One figure that Varde wants to reach.
#[derive(Debug)]
struct Goal {
    what: String,
    bound: Bound,
    measured: f64,
    spread: String,
    unit: &'static str,
    holds_it: &'static str,
}

/// On which side of a number a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure is on the right side.
    pub fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bound) => measured >= bound,
            Self::AtMost(bound) => measured <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}"),
            Self::AtMost(bound) => format!("≤ {bound}"),
        }
    }

    fn missed_by(self, measured: f64) -> f64 {
        match self {
            Self::AtLeast(bound) => bound - measured,
            Self::AtMost(bound) => measured - bound,
        }
    }
}

impl Report {
    /// Notes a figure, and what holds it where it isn't reached.
    pub fn goal(
        &mut self,
        what: impl Into<String>,
        bound: Bound,
        (measured, spread): (f64, String),
        unit: &'static str,
        holds_it: &'static str,
    ) {
        self.goals.push(Goal { what: what.into(), bound, measured, spread, unit, holds_it });
    }

    /// Notes that a part has no figures, and why.
    pub fn failed(&mut self, why: &str) {
        write!(self.sections, "\n**Failed**: {why}\n").expect("invariant: a String takes everything");
        eprintln!("FAILED: {why}");
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str, text: &str) {
        write!(self.sections, "\n## {title}\n\n{text}\n").expect("invariant: a String takes everything");
        eprintln!("\n{title}");
    }

    /// Begins a table.
    pub fn table(&mut self, columns: &[&str]) {
        self.sections.push('\n');
        self.row(columns.iter().map(ToString::to_string));
        let rules: Vec<&str> = columns.iter().map(|_| "---").collect();
        writeln!(self.sections, "|{}|", rules.join("|")).expect("invariant: a String takes everything");
    }

    /// A row of the last table.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        let line = format!("| {} |", cells.join(" | "));
        eprintln!("{line}");
        self.sections.push_str(&line);
        self.sections.push('\n');
    }

    /// Whether every figure is reached.
    pub fn all_reached(&self) -> bool {
        self.goals.iter().all(|goal| goal.bound.holds(goal.measured))
    }

    /// The table of goals, and all sections.
    pub fn markdown(&self, opening: &str) -> String {
        let mut text = format!("{opening}\n| goal | wanted | measured | reached |\n|---|---|---|---|\n");
        for goal in &self.goals {
            let Goal { what, bound, measured, spread, unit, holds_it } = goal;
            let verdict = if bound.holds(*measured) {
                "yes".to_owned()
            } else {
                format!("**no**, by {:.2}{unit}. {holds_it}", bound.missed_by(*measured))
            };
            let wanted = bound.text();
            writeln!(text, "| {what} | {wanted}{unit} | **{measured:.2}{unit}** {spread} | {verdict} |")
                .expect("invariant: a String takes everything");
        }
        text.push_str(&self.sections);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_by_how_much_a_goal_is_missed_and_what_holds_it() {
        let mut report = Report::default();
        report.goal("rate", Bound::AtLeast(1.1), (1.2, "(1.1 to 1.3)".into()), "", "nothing");
        assert!(report.all_reached());
        report.goal("CPU", Bound::AtMost(1.2), (1.5, String::new()), " ms", "Two commits.");
        assert!(!report.all_reached());
        let text = report.markdown("# Results\n");
        assert!(text.contains("| rate | ≥ 1.1 | **1.20** (1.1 to 1.3) | yes |"), "{text}");
        assert!(
            text.contains("| CPU | ≤ 1.2 ms | **1.50 ms**  | **no**, by 0.30 ms. Two commits. |"),
            "{text}"
        );
    }
}
