//! What is kept of events: which make room, and which headers hide their values.
//!
//! A trigger keeps [`MAX_EVENTS`]. So that a flood of one kind doesn't push out all of the other, what makes
//! room is the oldest of the kind that has more than half of them.

use std::collections::BTreeMap;

use super::Verify;
use crate::secret::Mask;
use crate::secret::mask::MASK;

/// Events that a trigger keeps: enough to see what a sender sends.
pub const MAX_EVENTS: usize = 10;

/// Bytes of header names and values that are kept of an event; what comes after them is left out.
pub const MAX_HEADER_BYTES: usize = 8 * 1_024;

/// Headers that hold keys by custom, whoever they are meant for.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-access-token",
    "x-api-key",
    "x-auth-token",
    "x-gitlab-token",
];

/// Which event makes room for one more, as an index into those that are kept, oldest first; each is told by
/// whether it was refused. `None` while there is room.
#[must_use]
pub fn makes_room(refused: &[bool]) -> Option<usize> {
    if refused.len() <= MAX_EVENTS {
        return None;
    }
    let many_refused = refused.iter().filter(|refused| **refused).count() > MAX_EVENTS / 2;
    let many_taken = refused.iter().filter(|refused| !**refused).count() > MAX_EVENTS / 2;
    refused.iter().position(|refused| if *refused { many_refused } else { many_taken })
}

/// The headers of an event as they are kept: lower-case names, the values of a repeated one joined by
/// commas, keys masked.
#[must_use]
pub fn headers(sent: &[(String, String)], verify: &Verify, mask: &Mask) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::<String, String>::new();
    let mut bytes_left = MAX_HEADER_BYTES;
    for (name, value) in sent {
        let name = name.to_ascii_lowercase();
        let is_key = SECRET_HEADERS.contains(&name.as_str()) || verify.token_header() == Some(&name);
        let value = if is_key { MASK.into() } else { mask.apply(value) };
        let Some(rest) = bytes_left.checked_sub(name.len() + value.len()) else { continue };
        bytes_left = rest;
        match kept.get_mut(&name) {
            Some(known) => known.extend([", ", &value]),
            None => drop(kept.insert(name, value.into_owned())),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inbound::TokenPlace;
    use crate::secret::Secret;

    /// Keeps events one after the other; `x` is refused, `.` is not.
    fn story(events: &str) -> String {
        let mut kept = Vec::new();
        for event in events.chars() {
            kept.push(event);
            let refused: Vec<bool> = kept.iter().map(|event| *event == 'x').collect();
            if let Some(at) = makes_room(&refused) {
                kept.remove(at);
            }
        }
        kept.into_iter().collect()
    }

    #[test]
    fn half_of_each_kind_outlasts_a_flood_of_the_other() {
        for (events, kept) in [
            (".........", "........."),
            ("............", ".........."),
            ("xxxxxxxxxxxx", "xxxxxxxxxx"),
            ("..........xxxxxxxxxxxxxxxxxx", ".....xxxxx"),
            ("xxxxxxxxxx..................", "xxxxx....."),
            ("..xxxxxxxxxxxxxxx", "..xxxxxxxx"),
            ("x.x.x.x.x.x.x.x.", "x.x.x.x.x."),
        ] {
            assert_eq!(story(events), kept, "{events}");
        }
    }

    #[test]
    fn keys_are_masked_and_names_lowered() {
        let secret = Secret::new("the-app-secret").unwrap();
        let verify = Verify::Token {
            location: TokenPlace::Header,
            name: "x-shop-key".to_owned(),
            secret: "shop".parse().unwrap(),
        };
        let sent = [
            ("Authorization", "Bearer abc"),
            ("X-Shop-Key", "abc"),
            ("X-Hub-Signature-256", "sha256=00"),
            ("x-note", "it is the-app-secret"),
            ("accept", "*/*"),
            ("Accept", "text/html"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let kept = headers(&sent, &verify, &Mask::new([&secret]));
        let expected = r#"{"accept":"*/*, text/html","authorization":"***","x-hub-signature-256":"sha256=00","x-note":"it is ***","x-shop-key":"***"}"#;
        assert_eq!(serde_json::to_string(&kept).unwrap(), expected);
    }

    #[test]
    fn headers_are_kept_up_to_their_limit() {
        let sent = [("a", MAX_HEADER_BYTES - 3), ("b", 5), ("c", 1)]
            .map(|(name, length)| (name.to_owned(), "x".repeat(length)));
        let kept = headers(&sent, &Verify::None, &Mask::new([]));
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a", "c"]);
    }

    proptest! {
        #[test]
        fn there_is_always_one_that_makes_room(refused in proptest::collection::vec(any::<bool>(), 0..40)) {
            match makes_room(&refused) {
                None => prop_assert!(refused.len() <= MAX_EVENTS),
                Some(at) => prop_assert!(at < refused.len()),
            }
            prop_assert_eq!(makes_room(&refused).is_some(), refused.len() > MAX_EVENTS);
        }
    }
}
