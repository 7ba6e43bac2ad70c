//! The record as HubSpot's own webhooks send it.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Record, Version};
use crate::workflow::ObjectType;

/// Varde knows no portals. The shapes have a number here, so that readers with types can go on.
const PORTAL_ID: u64 = 0;

/// Everything known about a record.
///
/// A contact has the shape of HubSpot's Contacts API v1 (`GET /contacts/v1/contact/vid/:vid/profile`),
/// history included. The others have that of the Deals, Companies and CRM Objects APIs v1: latest values
/// only. What Varde doesn't know is empty, or null: no versions, sources or times are invented.
///
/// ```
/// # use varde_core::record::{AllProperties, EnrollmentInput};
/// # use varde_core::workflow::ObjectType;
/// let input = serde_json::json!({"record": {"id": 7, "properties": {"dealname": "Ten chairs"}}});
/// let input = EnrollmentInput::parse(&input).unwrap();
/// let body = AllProperties::new(input.record(), &ObjectType::Deal);
/// assert_eq!(
///     serde_json::to_string(&body).unwrap(),
///     r#"{"dealId":7,"portalId":0,"properties":{"dealname":{"value":"Ten chairs","timestamp":null,"source":null,"sourceId":null}}}"#
/// );
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AllProperties<'a> {
    record: &'a Record,
    object_type: &'a ObjectType,
}

impl<'a> AllProperties<'a> {
    /// The body for a record of some type.
    #[must_use]
    pub const fn new(record: &'a Record, object_type: &'a ObjectType) -> Self {
        Self { record, object_type }
    }
}

impl Serialize for AllProperties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let id_field = match self.object_type {
            ObjectType::Contact => return Profile::new(record).serialize(serializer),
            ObjectType::Deal => "dealId",
            ObjectType::Company => "companyId",
            ObjectType::Ticket | ObjectType::Custom(_) => "objectId",
        };
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(id_field, &Id(&record.id))?;
        map.serialize_entry("portalId", &PORTAL_ID)?;
        map.serialize_entry("properties", &Properties { record, each: Latest::new })?;
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Profile<'a> {
    vid: Id<'a>,
    canonical_vid: Id<'a>,
    merged_vids: [Value; 0],
    portal_id: u64,
    is_contact: bool,
    properties: Properties<'a, WithHistory<'a>>,
    form_submissions: &'a [Value],
    list_memberships: &'a [Value],
    identity_profiles: &'a [Value],
    merge_audits: [Value; 0],
}

impl<'a> Profile<'a> {
    fn new(record: &'a Record) -> Self {
        Self {
            vid: Id(&record.id),
            canonical_vid: Id(&record.id),
            merged_vids: [],
            portal_id: PORTAL_ID,
            is_contact: true,
            properties: Properties { record, each: WithHistory::new },
            form_submissions: &record.form_submissions,
            list_memberships: &record.list_memberships,
            identity_profiles: &record.identity_profiles,
            merge_audits: [],
        }
    }
}

/// An id is a number where it can be one, as HubSpot's are.
struct Id<'a>(&'a str);

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<u64>() {
            Ok(number) if number.to_string() == self.0 => serializer.serialize_u64(number),
            _ => serializer.serialize_str(self.0),
        }
    }
}

/// The record's properties in their order, then those that only have a past.
struct Properties<'a, T> {
    record: &'a Record,
    each: fn(&'a Value, &'a [Version]) -> T,
}

impl<T: Serialize> Serialize for Properties<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        static UNSET: Value = Value::Null;
        let record = self.record;
        let current = record.properties.iter().map(|(name, value)| (name, value, record.versions(name)));
        let past = BTreeMap::iter(&record.history)
            .filter(|(name, _)| !record.properties.contains_key(*name))
            .map(|(name, versions)| (name, &UNSET, versions.as_slice()));
        serializer
            .collect_map(current.chain(past).map(|(name, value, past)| (name, (self.each)(value, past))))
    }
}

#[derive(Serialize)]
struct Latest<'a> {
    value: SetValue<'a>,
    timestamp: Option<u64>,
    source: Option<&'a str>,
    #[serde(rename = "sourceId")]
    source_id: Option<&'a str>,
}

impl<'a> Latest<'a> {
    fn new(value: &'a Value, versions: &'a [Version]) -> Self {
        let latest = versions.first();
        Self {
            value: SetValue(value),
            timestamp: latest.map(|version| version.timestamp),
            source: latest.and_then(|version| version.source_type.as_deref()),
            source_id: latest.and_then(|version| version.source_id.as_deref()),
        }
    }
}

#[derive(Serialize)]
struct WithHistory<'a> {
    value: SetValue<'a>,
    versions: Vec<Past<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Past<'a> {
    value: SetValue<'a>,
    source_type: Option<&'a str>,
    source_id: Option<&'a str>,
    source_label: Option<&'a str>,
    timestamp: u64,
    /// Always false in HubSpot's own bodies.
    selected: bool,
}

impl<'a> WithHistory<'a> {
    fn new(value: &'a Value, versions: &'a [Version]) -> Self {
        let past = |version: &'a Version| Past {
            value: SetValue(&version.value),
            source_type: version.source_type.as_deref(),
            source_id: version.source_id.as_deref(),
            source_label: version.source_label.as_deref(),
            timestamp: version.timestamp,
            selected: false,
        };
        Self { value: SetValue(value), versions: versions.iter().map(past).collect() }
    }
}

/// A value; one that is unset is the empty string, as HubSpot writes it.
struct SetValue<'a>(&'a Value);

impl Serialize for SetValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_str(""),
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::EnrollmentInput;

    fn body(record: &Value, object_type: &ObjectType) -> String {
        let input = EnrollmentInput::parse(&json!({"record": record})).unwrap();
        serde_json::to_string(&AllProperties::new(input.record(), object_type)).unwrap()
    }

    fn record() -> Value {
        json!({
            "id": 3_234_574,
            "properties": {"lead_source": "Partner", "score": 12.5, "vip": true, "gone": null},
            "history": {
                "lead_source": [
                    {"value": "Web", "timestamp": 1_484_026_587_400_u64},
                    {"value": "Partner", "timestamp": 1_484_026_593_060_u64, "source_type": "API", "source_id": "17", "source_label": "Sync"},
                ],
                "cleared": [{"value": null, "timestamp": 9, "source_type": "CRM_UI"}],
            },
            "form_submissions": [{"form-id": "f1"}],
            "list_memberships": [{"static-list-id": 4, "is-member": true}],
            "identity_profiles": [{"vid": 3_234_574}],
        })
    }

    #[test]
    fn contact_format_unchanged() {
        assert_eq!(
            body(&record(), &ObjectType::Contact),
            concat!(
                r#"{"vid":3234574,"canonical-vid":3234574,"merged-vids":[],"portal-id":0,"is-contact":true,"properties":{"#,
                r#""lead_source":{"value":"Partner","versions":["#,
                r#"{"value":"Partner","source-type":"API","source-id":"17","source-label":"Sync","timestamp":1484026593060,"selected":false},"#,
                r#"{"value":"Web","source-type":null,"source-id":null,"source-label":null,"timestamp":1484026587400,"selected":false}]},"#,
                r#""score":{"value":12.5,"versions":[]},"vip":{"value":true,"versions":[]},"gone":{"value":"","versions":[]},"#,
                r#""cleared":{"value":"","versions":[{"value":"","source-type":"CRM_UI","source-id":null,"source-label":null,"timestamp":9,"selected":false}]}},"#,
                r#""form-submissions":[{"form-id":"f1"}],"list-memberships":[{"static-list-id":4,"is-member":true}],"#,
                r#""identity-profiles":[{"vid":3234574}],"merge-audits":[]}"#,
            )
        );
    }

    #[test]
    fn object_format_unchanged() {
        let rest = concat!(
            r#","portalId":0,"properties":{"#,
            r#""lead_source":{"value":"Partner","timestamp":1484026593060,"source":"API","sourceId":"17"},"#,
            r#""score":{"value":12.5,"timestamp":null,"source":null,"sourceId":null},"#,
            r#""vip":{"value":true,"timestamp":null,"source":null,"sourceId":null},"#,
            r#""gone":{"value":"","timestamp":null,"source":null,"sourceId":null},"#,
            r#""cleared":{"value":"","timestamp":9,"source":"CRM_UI","sourceId":null}}}"#,
        );
        for (object_type, id_field) in [
            (ObjectType::Deal, "dealId"),
            (ObjectType::Company, "companyId"),
            (ObjectType::Ticket, "objectId"),
            (ObjectType::Custom("cars".parse().unwrap()), "objectId"),
        ] {
            assert_eq!(body(&record(), &object_type), format!(r#"{{"{id_field}":3234574{rest}"#));
        }
    }

    #[test]
    fn only_whole_decimal_ids_are_numbers() {
        for (id, written) in [
            ("51", "51"),
            ("0", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", r#""18446744073709551616""#),
            ("007", r#""007""#),
            ("+5", r#""+5""#),
            ("-5", r#""-5""#),
            ("a1", r#""a1""#),
        ] {
            let written = format!(r#"{{"dealId":{written},"portalId":0,"properties":{{}}}}"#);
            assert_eq!(body(&json!({"id": id, "properties": {}}), &ObjectType::Deal), written);
        }
    }

    #[test]
    fn a_bare_contact_has_all_fields() {
        assert_eq!(
            body(&json!({"id": "x", "properties": {}}), &ObjectType::Contact),
            r#"{"vid":"x","canonical-vid":"x","merged-vids":[],"portal-id":0,"is-contact":true,"properties":{},"form-submissions":[],"list-memberships":[],"identity-profiles":[],"merge-audits":[]}"#
        );
    }
}
