//! What is stored and can't be read: damaged, or written by a newer version before a rollback.
//!
//! Nothing is guessed about it and nothing of it is changed: it is set aside with one of these reasons, so
//! that it doesn't stop the others. It stays open, goes on once a version that can read it looks at it, and
//! may be canceled by a person.

use serde::de::DeserializeOwned;

use crate::json;

/// What of a stored delivery or enrollment can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Whose it is, or when it came.
    #[error("the row can't be read")]
    Row,
    /// Where it is in its life.
    #[error("the state can't be read")]
    State,
    /// Its timeout, authentication and retry policy.
    #[error("the terms can't be read")]
    Terms,
    /// What is to be sent.
    #[error("the request can't be read")]
    Request,
    /// What it is a replay of.
    #[error("what it is a replay of can't be read")]
    Replay,
    /// How a delivery ended, and so its outputs.
    #[error("how a delivery ended can't be read")]
    End,
    /// What an enrollment's next request is rendered from.
    #[error("the enrollment can't be read")]
    Enrollment,
}

impl Unreadable {
    /// A stable slug: the reason in the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Row => "unreadable_row",
            Self::State => "unreadable_state",
            Self::Terms => "unreadable_terms",
            Self::Request => "unreadable_request",
            Self::Replay => "unreadable_replay",
            Self::End => "unreadable_end",
            Self::Enrollment => "unreadable_enrollment",
        }
    }

    /// Reads a stored JSON text.
    ///
    /// # Errors
    /// This reason, when the text isn't what it should be.
    pub fn unless<T: DeserializeOwned>(self, text: &str) -> Result<T, Self> {
        json::from_text(text).map_err(|_| self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Delivery;
    use crate::record::EnrollmentInput;
    use crate::replay::ReplayOf;
    use crate::request::Request;
    use crate::time::UnixMs;

    const ALL: [Unreadable; 7] = [
        Unreadable::Row,
        Unreadable::State,
        Unreadable::Terms,
        Unreadable::Request,
        Unreadable::Replay,
        Unreadable::End,
        Unreadable::Enrollment,
    ];

    /// What a damaged or newer row may hold, none of it what it should be.
    const POISON: [&str; 9] = [
        "",
        "null",
        "7",
        "[]",
        "{",
        "\u{0}",
        r#"{"status":"delegated","attempt":1}"#,
        r#"{"status":"scheduled","attempt":-1,"due":"soon"}"#,
        r#"{"format":2}"#,
    ];

    #[test]
    fn poison_is_a_reason_and_never_a_panic() {
        for text in POISON {
            assert_eq!(Unreadable::State.unless::<Delivery>(text).unwrap_err(), Unreadable::State, "{text}");
            assert_eq!(
                Unreadable::Request.unless::<Request>(text).unwrap_err(),
                Unreadable::Request,
                "{text}"
            );
            assert_eq!(
                Unreadable::Replay.unless::<ReplayOf>(text).unwrap_err(),
                Unreadable::Replay,
                "{text}"
            );
            assert_eq!(
                Unreadable::Enrollment.unless::<EnrollmentInput>(text).unwrap_err(),
                Unreadable::Enrollment,
                "{text}"
            );
            assert_eq!(
                Unreadable::Terms.unless::<crate::auth::Auth>(text).unwrap_err(),
                Unreadable::Terms,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_in_order_is_read() {
        let delivery = Delivery::scheduled(UnixMs(7));
        let text = serde_json::to_string(&delivery).unwrap();
        assert_eq!(Unreadable::State.unless::<Delivery>(&text), Ok(delivery));
    }

    #[test]
    fn reasons_are_slugs_and_differ() {
        for (n, one) in ALL.iter().enumerate() {
            let code = one.code();
            assert!(code.starts_with("unreadable_") && code.parse::<crate::slug::Slug>().is_ok(), "{code}");
            assert!(
                ALL[..n].iter().all(|other| other.code() != code && other.to_string() != one.to_string())
            );
        }
    }
}
