//! The parts of a run; each can be run alone.

mod compare;
mod throughput;
mod ceiling;
mod shapes;
mod latency;
mod slow;
mod backlog;
mod cold;
mod cost;
mod rate;
mod isolation;
mod recovery;

use crate::failure::Failure;
use crate::report::Report;
use crate::stage::Stage;

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Delivered a second and CPU, single enrollments.
    Throughput,
    /// What the platform leaves room for.
    Ceiling,
    /// Throughput in other shapes: connections, batches, shards, larger bodies.
    Shapes,
    /// End to end at half of the capacity.
    Latency,
    /// A slow endpoint, offered most of the capacity.
    Slow,
    /// Many open deliveries: accepts beside them, and draining.
    Backlog,
    /// Cold start and size.
    Cold,
    /// Commits and rows for a delivery.
    Cost,
    /// Rate limits over shards.
    Rate,
    /// What an endpoint that never answers does to others.
    Isolation,
    /// A million deliveries, and a day of downtime, simulated.
    Recovery,
}

impl Part {
    /// All of them, in the order of a whole run.
    pub const ALL: [Self; 11] = [
        Self::Throughput,
        Self::Ceiling,
        Self::Shapes,
        Self::Latency,
        Self::Slow,
        Self::Backlog,
        Self::Cold,
        Self::Cost,
        Self::Rate,
        Self::Isolation,
        Self::Recovery,
    ];

    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Ceiling => "ceiling",
            Self::Shapes => "shapes",
            Self::Latency => "latency",
            Self::Slow => "slow",
            Self::Backlog => "backlog",
            Self::Cold => "cold",
            Self::Cost => "cost",
            Self::Rate => "rate",
            Self::Isolation => "isolation",
            Self::Recovery => "recovery",
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
            Self::Ceiling => ceiling::run(stage, report).await,
            Self::Shapes => shapes::run(stage, report).await,
            Self::Latency => latency::run(stage, report).await,
            Self::Slow => slow::run(stage, report).await,
            Self::Backlog => backlog::run(stage, report).await,
            Self::Cold => cold::run(stage, report).await,
            Self::Cost => cost::run(stage, report).await,
            Self::Rate => rate::run(stage, report).await,
            Self::Isolation => isolation::run(stage, report).await,
            Self::Recovery => recovery::run(stage, report),
        }?;
        stage.no_mistakes()
    }
}
