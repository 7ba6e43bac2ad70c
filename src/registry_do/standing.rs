//! What happens to a workflow's controls: decided here, without storage or clock.

use serde::{Deserialize, Serialize};
use varde_core::controls::Controls;
use varde_core::slug::Slug;
use varde_core::time::{MINUTE_MS, UnixMs};

use super::protocol::Outline;

/// How long a deletion that cancels nothing may stay half done. Its caller needs seconds; one that vanished
/// in the middle must not leave the workflow closed for ever.
const CLOSING_MS: u64 = MINUTE_MS;

/// Why an action is paused when a person asked for it.
pub const BY_PERSON: &str = "paused";
/// Why an action is paused when its endpoint answered 410.
pub const BY_GONE: &str = "gone";

/// Where a workflow stands: its controls, and the deletion that may be under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What every outbox is to know.
    pub controls: Controls,
    /// The deletion under way.
    pub closing: Option<Term>,
}

/// A deletion under way, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Version of the controls that closed the workflow; names the deletion.
    pub version: u64,
    /// When it lapses; never when open deliveries are being canceled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMs>,
}

impl Standing {
    /// Pauses an action, where it isn't paused for whatever reason. Says whether anything changed.
    pub fn pause(&mut self, action: &Slug, reason: &str) -> bool {
        if self.controls.paused.contains_key(action) {
            return false;
        }
        self.controls.paused.insert(action.clone(), reason.to_owned());
        self.changed()
    }

    /// Resumes an action. Always a change: an outbox may have paused it itself, for a 410 that isn't known
    /// here yet, and takes only controls that are newer.
    pub fn resume(&mut self, action: &Slug) -> bool {
        self.controls.paused.remove(action);
        self.changed()
    }

    /// Pauses the workflow as a whole. Says whether anything changed.
    pub fn pause_all(&mut self, reason: &str) -> bool {
        self.controls.all_paused.is_none() && {
            self.controls.all_paused = Some(reason.to_owned());
            self.changed()
        }
    }

    /// Resumes the workflow; what is said about single actions stays. Says whether anything changed.
    pub fn resume_all(&mut self) -> bool {
        self.controls.all_paused.take().is_some() && self.changed()
    }

    /// Fits the controls to a document: its limits, and nothing about actions that no longer exist. Says
    /// whether anything changed.
    pub fn fit(&mut self, outline: &Outline) -> bool {
        let before = self.controls.clone();
        self.controls.paused.retain(|action, _| outline.actions.contains(action));
        self.controls.rates.clone_from(&outline.rates);
        self.controls.retention_days = outline.retention_days;
        self.controls != before && self.changed()
    }

    /// Marks the workflow as gone for good.
    pub fn remove(&mut self) {
        self.controls.removed = true;
        self.changed();
    }

    /// Closes the workflow for a deletion, and names it. One that is under way is joined: it has as long
    /// again.
    pub fn close(&mut self, cancel_open: bool, now: UnixMs) -> u64 {
        let cancel_open = cancel_open || self.controls.cancel_open;
        if !self.controls.closed || self.controls.cancel_open != cancel_open {
            self.controls.closed = true;
            self.controls.cancel_open = cancel_open;
            self.changed();
        }
        let version = match self.closing {
            Some(term) if term.until.is_none() == cancel_open => term.version,
            _ => self.controls.version,
        };
        self.closing = Some(Term { version, until: (!cancel_open).then(|| now.plus_ms(CLOSING_MS)) });
        version
    }

    /// Calls a deletion off, if `version` names the one under way and nothing is being canceled. Says whether
    /// anything changed.
    pub fn reopen(&mut self, version: u64) -> bool {
        let called_off = self.closing.is_some_and(|term| term.version == version && term.until.is_some());
        called_off && self.open_again()
    }

    /// Calls a deletion off that has lapsed. Says whether anything changed.
    pub fn lapse(&mut self, now: UnixMs) -> bool {
        let lapsed = self.closing.and_then(|term| term.until).is_some_and(|until| until <= now);
        lapsed && self.open_again()
    }

    /// Whether `version` names the deletion under way.
    pub fn is_closing(&self, version: u64) -> bool {
        self.closing.is_some_and(|term| term.version == version)
    }

    fn open_again(&mut self) -> bool {
        self.closing = None;
        self.controls.closed = false;
        self.changed()
    }

    const fn changed(&mut self) -> bool {
        self.controls.version += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use varde_core::rate::RateLimit;

    use super::*;

    const NOW: UnixMs = UnixMs(1_000_000);

    fn slug(text: &str) -> Slug {
        text.parse().unwrap()
    }

    fn outline(actions: &[&str]) -> Outline {
        let actions = actions.iter().map(|action| slug(action)).collect();
        Outline { shards: 1, actions, secrets: vec![], rates: [].into(), retention_days: None }
    }

    #[test]
    fn limits_follow_the_document() {
        let mut standing = open();
        let rates = [(slug("a"), RateLimit::new(20, 1_000).unwrap())].into();
        let limited = Outline { rates, retention_days: Some(7), ..outline(&["a"]) };
        assert!(standing.fit(&limited) && !standing.fit(&limited));
        assert_eq!((standing.controls.version, standing.controls.retention_days), (2, Some(7)));
        assert!(standing.fit(&outline(&["a"])));
        assert_eq!(standing.controls, Controls { version: 3, ..Controls::default() });
    }

    #[test]
    fn a_removal_is_a_change() {
        let mut standing = open();
        standing.close(true, NOW);
        standing.remove();
        assert_eq!((standing.controls.version, standing.controls.removed), (3, true));
    }

    fn open() -> Standing {
        Standing { controls: Controls { version: 1, ..Controls::default() }, closing: None }
    }

    #[test]
    fn term_format_unchanged() {
        let lapsing = Term { version: 3, until: Some(UnixMs(5)) };
        assert_eq!(serde_json::to_string(&lapsing).unwrap(), r#"{"version":3,"until":5}"#);
        let lasting = Term { version: 3, until: None };
        assert_eq!(serde_json::to_string(&lasting).unwrap(), r#"{"version":3}"#);
        assert_eq!(serde_json::from_str::<Term>(r#"{"version":3}"#).unwrap(), lasting);
    }

    #[test]
    fn only_changes_make_versions() {
        let mut standing = open();
        assert!(standing.pause(&slug("a"), BY_PERSON));
        assert!(!standing.pause(&slug("a"), BY_GONE), "the first reason stays");
        assert_eq!((standing.controls.version, standing.controls.pause_reason("a")), (2, Some("paused")));
        assert!(standing.resume(&slug("a")));
        assert_eq!(standing.controls, Controls { version: 3, ..Controls::default() });
        assert!(standing.resume(&slug("a")), "an outbox may know more");
        assert_eq!(standing.controls.version, 4);
    }

    #[test]
    fn a_workflow_is_paused_beside_its_actions() {
        let mut standing = open();
        assert!(!standing.resume_all());
        assert!(standing.pause_all(BY_PERSON) && !standing.pause_all(BY_PERSON));
        assert!(standing.pause(&slug("a"), BY_GONE), "a 410 counts while the workflow is paused");
        assert_eq!(standing.controls.pause_reason("b"), Some("paused"));
        assert!(standing.resume_all());
        assert_eq!(
            (standing.controls.pause_reason("a"), standing.controls.pause_reason("b")),
            (Some("gone"), None)
        );
    }

    #[test]
    fn an_action_that_is_gone_takes_its_pause_along() {
        let mut standing = open();
        standing.pause(&slug("a"), BY_PERSON);
        standing.pause(&slug("b"), BY_GONE);
        assert!(!standing.fit(&outline(&["a", "b", "c"])));
        assert_eq!(standing.controls.version, 3);
        assert!(standing.fit(&outline(&["b"])));
        assert_eq!((standing.controls.version, standing.controls.pause_reason("a")), (4, None));
        assert_eq!(standing.controls.pause_reason("b"), Some("gone"));
    }

    #[test]
    fn a_deletion_can_be_called_off_by_its_own_name_only() {
        let mut standing = open();
        assert_eq!(standing.close(false, NOW), 2);
        assert!(standing.controls.closed && standing.is_closing(2) && !standing.is_closing(1));
        assert!(!standing.reopen(1));
        assert!(standing.reopen(2));
        assert_eq!((standing.controls.closed, standing.controls.version, standing.closing), (false, 3, None));
        assert!(!standing.reopen(2), "once");
    }

    #[test]
    fn a_second_deletion_joins_the_first() {
        let mut standing = open();
        standing.close(false, NOW);
        // A change in between must not give the deletion another name.
        standing.pause(&slug("a"), BY_GONE);
        assert_eq!(standing.close(false, NOW.plus_ms(10_000)), 2);
        assert!(!standing.lapse(NOW.plus_ms(CLOSING_MS)), "it has as long again");
        assert!(standing.lapse(NOW.plus_ms(10_000 + CLOSING_MS)));
        assert!(!standing.controls.closed);
    }

    #[test]
    fn a_deletion_left_half_done_lapses() {
        let mut standing = open();
        assert!(!standing.lapse(UnixMs(u64::MAX)));
        standing.close(false, NOW);
        assert!(!standing.lapse(NOW.plus_ms(CLOSING_MS - 1)));
        assert!(standing.controls.closed);
        assert!(standing.lapse(NOW.plus_ms(CLOSING_MS)));
        assert_eq!((standing.controls.closed, standing.controls.version, standing.closing), (false, 3, None));
        assert!(!standing.lapse(UnixMs(u64::MAX)));
    }

    #[test]
    fn there_is_no_way_back_from_canceling() {
        let mut standing = open();
        standing.close(false, NOW);
        assert_eq!(standing.close(true, NOW), 3, "what cancels has its own name");
        assert!(!standing.reopen(2) && !standing.reopen(3) && !standing.lapse(UnixMs(u64::MAX)));
        standing.pause(&slug("a"), BY_GONE);
        for cancel_open in [false, true] {
            assert_eq!(standing.close(cancel_open, NOW), 3);
            assert!(standing.controls.cancel_open && standing.is_closing(3));
        }
        assert_eq!(standing.controls.version, 4);
    }
}
