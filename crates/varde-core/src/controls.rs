//! What people and endpoints have said about a workflow's actions, as far as outboxes must know it: paused,
//! limited, closed. Pushed by the registry to every outbox of the workflow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rate::RateLimit;
use crate::slug::Slug;
use crate::time::{DAY_MS, UnixMs};

/// The controls of one workflow. A higher version replaces a lower one; an equal or lower one is ignored,
/// so pushing twice or out of order is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Controls {
    /// Counted up by the registry with every change.
    pub version: u64,
    /// No more enrollments: the workflow is deleted, or about to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Open deliveries are canceled: the workflow was deleted with `?open=cancel`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_open: bool,
    /// Why the workflow as a whole is paused, as a stable slug: `paused` by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_paused: Option<String>,
    /// Paused actions, each with a stable slug of why: `paused` by a person, `gone` by a 410.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<Slug, String>,
    /// The rate limits of actions that have one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<Slug, RateLimit>,
    /// How long settled deliveries are kept, in days; for ever where nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u16>,
    /// The workflow is gone: what is settled can be forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl Controls {
    /// Why `action` is paused, by itself or with its workflow, or `None` while it is active.
    #[must_use]
    pub fn pause_reason(&self, action: &str) -> Option<&str> {
        self.paused.get(action).or(self.all_paused.as_ref()).map(String::as_str)
    }

    /// What settled before this may be forgotten; `None` while everything is kept.
    #[must_use]
    pub fn forget_before(&self, now: UnixMs) -> Option<UnixMs> {
        if self.removed {
            return Some(now.plus_ms(1));
        }
        self.retention_days.map(|days| UnixMs(now.0.saturating_sub(u64::from(days) * DAY_MS)))
    }

    /// Whether these replace `known`.
    #[must_use]
    pub const fn supersede(&self, known: &Self) -> bool {
        self.version > known.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_format_unchanged() {
        let mut controls = Controls { version: 3, ..Controls::default() };
        assert_eq!(serde_json::to_string(&controls).unwrap(), r#"{"version":3}"#);
        controls.paused.insert("tell-chat".parse().unwrap(), "gone".to_owned());
        controls.closed = true;
        controls.cancel_open = true;
        controls.all_paused = Some("paused".to_owned());
        controls.rates.insert("tell-chat".parse().unwrap(), RateLimit::new(20, 1_000).unwrap());
        controls.retention_days = Some(30);
        controls.removed = true;
        let text = r#"{"version":3,"closed":true,"cancel_open":true,"all_paused":"paused","paused":{"tell-chat":"gone"},"rates":{"tell-chat":{"requests":20,"per_ms":1000}},"retention_days":30,"removed":true}"#;
        assert_eq!(serde_json::to_string(&controls).unwrap(), text);
        assert_eq!(serde_json::from_str::<Controls>(text).unwrap(), controls);
    }

    #[test]
    fn only_a_higher_version_supersedes() {
        let known = Controls { version: 3, ..Controls::default() };
        for (version, expected) in [(2, false), (3, false), (4, true)] {
            assert_eq!(Controls { version, ..Controls::default() }.supersede(&known), expected);
        }
    }

    #[test]
    fn forgets_what_is_old_or_removed() {
        let now = UnixMs(40 * DAY_MS);
        let controls = Controls { retention_days: Some(30), ..Controls::default() };
        assert_eq!(Controls::default().forget_before(now), None);
        assert_eq!(controls.forget_before(now), Some(UnixMs(10 * DAY_MS)));
        assert_eq!(controls.forget_before(UnixMs(5)), Some(UnixMs(0)));
        let removed = Controls { removed: true, ..controls };
        assert_eq!(removed.forget_before(now), Some(now.plus_ms(1)), "what settled right now, too");
    }

    #[test]
    fn tells_why_an_action_is_paused() {
        let paused = [("a".parse().unwrap(), "gone".to_owned())].into();
        let controls = Controls { paused, ..Controls::default() };
        assert_eq!(controls.pause_reason("a"), Some("gone"));
        assert_eq!(controls.pause_reason("b"), None);
        let controls = Controls { all_paused: Some("paused".to_owned()), ..controls };
        assert_eq!(controls.pause_reason("a"), Some("gone"), "the action's own reason says more");
        assert_eq!(controls.pause_reason("b"), Some("paused"));
    }
}
