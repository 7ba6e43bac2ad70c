//! The parts of a run; each can be run alone.

mod compare;
mod throughput;

use crate::failure::Failure;
use crate::report::Report;
use crate::stage::Stage;

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Delivered a second and CPU, single enrollments.
    Throughput,
}

impl Part {
    /// All of them, in the order of a whole run.
    pub const ALL: [Self; 1] = [Self::Throughput];

    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
        }
    }

    /// The part of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Measures it.
    ///
    /// # Errors
    ///
    /// When anything is refused, lost or mistaken: then there is nothing to report.
    pub async fn run(self, stage: &Stage, report: &mut Report) -> Result<(), Failure> {
        match self {
            Self::Throughput => throughput::run(stage, report).await,
        }?;
        stage.no_mistakes()
    }
}
