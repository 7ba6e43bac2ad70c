//! What kind of records a workflow is for.

use core::fmt;
use core::str::FromStr;

use serde::{Serialize, Serializer};

use crate::slug::{MAX_LENGTH, Slug};

/// The type of a CRM object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are HubSpot's own words")]
pub enum ObjectType {
    Contact,
    Company,
    Deal,
    Ticket,
    /// A custom object, by a name that looks like a slug.
    Custom(Slug),
}

/// A text that names no type of object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `contact`, `company`, `deal`, `ticket` or the name of a custom object (1 to {MAX_LENGTH} of a-z, 0-9, `-` and `_`, starting with a letter or digit)"
)]
pub struct InvalidObjectType;

impl ObjectType {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
            Self::Ticket => "ticket",
            Self::Custom(name) => name.as_str(),
        }
    }
}

impl FromStr for ObjectType {
    type Err = InvalidObjectType;

    fn from_str(text: &str) -> Result<Self, InvalidObjectType> {
        Ok(match text {
            "contact" => Self::Contact,
            "company" => Self::Company,
            "deal" => Self::Deal,
            "ticket" => Self::Ticket,
            other => Self::Custom(other.parse().map_err(|_| InvalidObjectType)?),
        })
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ObjectType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_hubspots_and_takes_custom_ones() {
        for name in ["contact", "company", "deal", "ticket", "cars", "p123_cars", "2-3456"] {
            let object_type: ObjectType = name.parse().unwrap();
            assert_eq!(object_type.to_string(), name);
            assert_eq!(
                matches!(object_type, ObjectType::Custom(_)),
                !["contact", "company", "deal", "ticket"].contains(&name)
            );
        }
        for bad in ["", "Contact", "my cars", "ä"] {
            assert_eq!(bad.parse::<ObjectType>(), Err(InvalidObjectType), "{bad}");
        }
    }
}
