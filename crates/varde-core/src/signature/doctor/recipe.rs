//! How a signature is made: by the schemes, and by mistake.

use super::axis::Variant;
use super::key::KeyForm;
use super::mistake::Mistake;
use super::scheme::Scheme;
use super::timestamp::Unit;
use super::uri::Escapes;
use super::written::{Form, Letters};

/// What goes where into the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    /// HMAC with the secret as its key.
    Hmac,
    /// A plain hash of the secret and the message.
    SecretFirst,
    /// A plain hash of the message and the secret.
    SecretLast,
    /// A plain hash of the message.
    NoSecret,
    /// HMAC of the secret, with the message as its key.
    Swapped,
}

/// One part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Secret,
    Id,
    Method,
    Url,
    Body,
    Timestamp,
    Text(&'static str),
}

/// A way to make a signature.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) mix: Mix,
    pub(super) key: KeyForm,
    pub(super) pieces: Vec<Piece>,
    /// What it does with the escapes of the URL, [`Escapes::Kept`] or [`Escapes::V3`].
    pub(super) escapes: Escapes,
    /// Which timestamp it takes.
    pub(super) clock: Unit,
    pub(super) form: Form,
}

const HEX: Form = Form { prefix: "", letters: Letters::Hex };
const BASE64: Form = Form { prefix: "", letters: Letters::Base64 };

impl Recipe {
    /// The right way.
    pub(super) fn of(scheme: Scheme) -> Self {
        use Piece::{Body, Id, Method, Text, Timestamp, Url};
        let hubspot = |mix, form, pieces: &[Piece]| Self {
            mix,
            key: KeyForm::Text,
            pieces: pieces.to_vec(),
            escapes: Escapes::Kept,
            clock: Unit::Milliseconds,
            form,
        };
        match scheme {
            Scheme::HubspotV1 => hubspot(Mix::SecretFirst, HEX, &[Body]),
            Scheme::HubspotV2 => hubspot(Mix::SecretFirst, HEX, &[Method, Url, Body]),
            Scheme::HubspotV3 => {
                Self { escapes: Escapes::V3, ..hubspot(Mix::Hmac, BASE64, &[Method, Url, Body, Timestamp]) }
            }
            Scheme::StandardWebhooks => Self {
                key: KeyForm::Whsec,
                clock: Unit::Seconds,
                ..hubspot(
                    Mix::Hmac,
                    Form { prefix: "v1,", letters: Letters::Base64 },
                    &[Id, Text("."), Timestamp, Text("."), Body],
                )
            },
            Scheme::Github => hubspot(Mix::Hmac, Form { prefix: "sha256=", letters: Letters::Hex }, &[Body]),
            Scheme::Shopify => hubspot(Mix::Hmac, BASE64, &[Body]),
        }
    }

    pub(super) fn uses(&self, piece: Piece) -> bool {
        self.pieces.contains(&piece)
    }

    /// Whether the secret makes a difference.
    pub(super) fn uses_secret(&self) -> bool {
        self.mix != Mix::NoSecret
    }

    fn mixed(&self, mix: Mix) -> Self {
        Self { mix, ..self.clone() }
    }

    fn of_pieces(&self, pieces: Vec<Piece>) -> Self {
        Self { pieces, ..self.clone() }
    }

    fn joined(&self, with: Option<&'static str>) -> Self {
        let mut pieces = Vec::new();
        for &piece in self.pieces.iter().filter(|piece| !matches!(piece, Piece::Text(_))) {
            if !pieces.is_empty() {
                pieces.extend(with.map(Piece::Text));
            }
            pieces.push(piece);
        }
        self.of_pieces(pieces)
    }
}

/// The right way first, then the wrong ones that are known.
pub(super) fn all(scheme: Scheme) -> Vec<Variant<Recipe>> {
    let right = Recipe::of(scheme);
    let mut recipes = vec![Variant { value: right.clone(), mistakes: Vec::new(), also: Vec::new() }];
    let mut add = |mistake: Mistake, also: &[Mistake], value: Recipe| {
        recipes.push(Variant { value, mistakes: vec![mistake], also: also.to_vec() });
    };
    let body_alone = right.pieces == [Piece::Body];
    if right.mix == Mix::Hmac {
        let also: &[Mistake] = if body_alone { &[Mistake::MadeAsV1] } else { &[] };
        add(Mistake::HashForHmac, also, right.mixed(Mix::SecretFirst));
        add(Mistake::KeyAndMessageSwapped, &[], right.mixed(Mix::Swapped));
        let with_secret = core::iter::once(Piece::Secret).chain(right.pieces.iter().copied()).collect();
        add(Mistake::SecretInMessage, &[], right.of_pieces(with_secret));
    } else {
        let also: &[Mistake] = if body_alone { &[Mistake::MadeAsBodyHmac] } else { &[] };
        add(Mistake::HmacForHash, also, right.mixed(Mix::Hmac));
    }
    for (other, mistake) in [
        (Scheme::HubspotV1, Mistake::MadeAsV1),
        (Scheme::HubspotV2, Mistake::MadeAsV2),
        (Scheme::HubspotV3, Mistake::MadeAsV3),
        (Scheme::StandardWebhooks, Mistake::MadeAsStandardWebhooks),
        (Scheme::Github, Mistake::MadeAsBodyHmac),
    ] {
        let made = Recipe::of(other);
        let known = made.pieces == right.pieces;
        if !known {
            // As Shopify and as GitHub: over the body alone, with the secret as this scheme reads it.
            add(mistake, &[], made);
        }
    }
    if !body_alone && right.key == KeyForm::Whsec {
        add(Mistake::MadeAsBodyHmac, &[], right.of_pieces(vec![Piece::Body]));
    }
    add(Mistake::SecretAtEnd, &[], right.mixed(Mix::SecretLast));
    add(Mistake::SecretLeftOut, &[], right.mixed(Mix::NoSecret));
    for pieces in other_orders(scheme) {
        add(Mistake::TimestampFirst, &[], right.of_pieces(pieces));
    }
    if scheme == Scheme::StandardWebhooks {
        let without_id = vec![Piece::Timestamp, Piece::Text("."), Piece::Body];
        add(Mistake::IdLeftOut, &[], right.of_pieces(without_id));
        add(Mistake::PartsJoined, &[], right.joined(None));
    }
    if !body_alone {
        for with in ["\n", ".", ":", " ", "|", "\r\n"] {
            if !right.uses(Piece::Text(with)) {
                add(Mistake::PartsJoined, &[], right.joined(Some(with)));
            }
        }
    }
    recipes
}

fn other_orders(scheme: Scheme) -> Vec<Vec<Piece>> {
    use Piece::{Body, Id, Method, Text, Timestamp, Url};
    match scheme {
        Scheme::HubspotV3 => vec![
            vec![Timestamp, Method, Url, Body],
            vec![Method, Timestamp, Url, Body],
            vec![Method, Url, Timestamp, Body],
        ],
        Scheme::StandardWebhooks => vec![
            vec![Timestamp, Text("."), Id, Text("."), Body],
            vec![Id, Text("."), Body, Text("."), Timestamp],
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scheme: Scheme, mistake: Mistake) -> Vec<Recipe> {
        let all = all(scheme);
        all.into_iter()
            .filter(|variant| variant.mistakes == [mistake] || variant.also == [mistake])
            .map(|variant| variant.value)
            .collect()
    }

    #[test]
    fn the_right_way_comes_first_and_once() {
        for scheme in Scheme::ALL {
            let all = all(*scheme);
            assert!(all[0].mistakes.is_empty());
            let right = &all[0].value;
            for other in &all[1..] {
                assert_eq!(other.mistakes.len(), 1);
                let same = other.value.mix == right.mix
                    && other.value.pieces == right.pieces
                    && other.value.key == right.key
                    && other.value.escapes == right.escapes;
                assert!(!same, "{scheme:?}: {:?}", other.mistakes);
            }
        }
    }

    #[test]
    fn parts_are_joined_in_between() {
        let joined = &of(Scheme::HubspotV2, Mistake::PartsJoined)[0];
        let end = Piece::Text("\n");
        assert_eq!(joined.pieces, [Piece::Method, end, Piece::Url, end, Piece::Body]);
        let bare = &of(Scheme::StandardWebhooks, Mistake::PartsJoined)[0];
        assert_eq!(bare.pieces, [Piece::Id, Piece::Timestamp, Piece::Body]);
        assert!(of(Scheme::Github, Mistake::PartsJoined).is_empty());
    }

    #[test]
    fn every_scheme_knows_the_others() {
        for scheme in Scheme::ALL {
            for (other, mistake) in [
                (Scheme::HubspotV1, Mistake::MadeAsV1),
                (Scheme::HubspotV2, Mistake::MadeAsV2),
                (Scheme::HubspotV3, Mistake::MadeAsV3),
                (Scheme::StandardWebhooks, Mistake::MadeAsStandardWebhooks),
            ] {
                assert_eq!(of(*scheme, mistake).is_empty(), *scheme == other, "{scheme:?} {mistake:?}");
            }
        }
    }
}
