//! Where a delivery is in its life, and what can be read off that.

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// Where a delivery is in its life. A state carries only its own data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum State {
    /// Waits for its time.
    Scheduled {
        /// Number of the attempt to come.
        attempt: u32,
        /// When it is due.
        due: UnixMs,
        /// Why it waits, where that isn't the schedule: `missing_secret`, `paused`, …
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether this attempt is made even past the window, because the window ended while it was held.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        grace: bool,
    },
    /// Somebody holds the lease for an attempt.
    InFlight {
        /// Number of the attempt.
        attempt: u32,
        /// When the lease was given out.
        started: UnixMs,
        /// When the lease ends.
        deadline: UnixMs,
        /// As in [`State::Scheduled`], so that a returned lease keeps it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        grace: bool,
    },
    /// Waits for its action to be resumed.
    Held {
        /// Number of the attempt to come.
        attempt: u32,
        /// When it would have been due.
        due: UnixMs,
    },
    /// Waits for its turn: an earlier delivery of the same record to the same action is open.
    Blocked {
        /// When it would have been due.
        due: UnixMs,
    },
    /// The endpoint has it.
    Delivered {
        /// Number of the attempt that arrived.
        attempt: u32,
    },
    /// The endpoint refused for good, or nothing could be sent.
    Rejected {
        /// Number of the last attempt; 0 where none was made.
        attempt: u32,
        /// A stable slug.
        reason: String,
    },
    /// The window or the number of attempts is used up.
    Exhausted {
        /// Number of the last attempt.
        attempt: u32,
        /// `window_used_up` or `attempts_used_up`.
        reason: String,
    },
    /// A person ended it.
    Canceled {
        /// Number of the last attempt.
        attempt: u32,
    },
}

impl State {
    /// Whether the delivery still has something to do.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Scheduled { .. } | Self::InFlight { .. } | Self::Held { .. } | Self::Blocked { .. }
        )
    }

    /// The word in the API. A blocked delivery is scheduled there, with a reason and no due.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Scheduled { .. } | Self::Blocked { .. } => "scheduled",
            Self::InFlight { .. } => "in_flight",
            Self::Held { .. } => "held",
            Self::Delivered { .. } => "delivered",
            Self::Rejected { .. } => "rejected",
            Self::Exhausted { .. } => "exhausted",
            Self::Canceled { .. } => "canceled",
        }
    }

    /// The attempt number that the state names: the coming, the current or the last one.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        match *self {
            Self::Scheduled { attempt, .. }
            | Self::InFlight { attempt, .. }
            | Self::Held { attempt, .. }
            | Self::Delivered { attempt }
            | Self::Rejected { attempt, .. }
            | Self::Exhausted { attempt, .. }
            | Self::Canceled { attempt } => attempt,
            Self::Blocked { .. } => 1,
        }
    }

    /// Attempts that were started.
    #[must_use]
    pub const fn attempts_made(&self) -> u32 {
        match *self {
            Self::Scheduled { attempt, .. } | Self::Held { attempt, .. } => attempt.saturating_sub(1),
            Self::Blocked { .. } => 0,
            _ => self.attempt(),
        }
    }

    /// When somebody must look at it again: its due, or the end of its lease. `None` while it is held or
    /// blocked, and after its end.
    #[must_use]
    pub const fn wakes_at(&self) -> Option<UnixMs> {
        match *self {
            Self::Scheduled { due, .. } => Some(due),
            Self::InFlight { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// Why it waits or ended, as a stable slug.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Scheduled { reason, .. } => reason.as_deref(),
            Self::Rejected { reason, .. } | Self::Exhausted { reason, .. } => Some(reason),
            Self::Canceled { .. } => Some("canceled"),
            Self::Blocked { .. } => Some("waits_for_earlier"),
            Self::Held { .. } | Self::InFlight { .. } | Self::Delivered { .. } => None,
        }
    }
}
