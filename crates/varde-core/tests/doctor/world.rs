//! A random request, signed by somebody else's code: none of the doctor's own functions are used here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use varde_core::signature::Received;
use varde_core::signature::doctor::{Case, Diagnosis, Scheme, diagnose};
use varde_core::signature::hubspot::v3_uri;
use varde_core::time::UnixMs;

/// The time of all requests' signing; its thousandths end in no zero, so that each form of it differs.
pub const SIGNED_MS: u64 = 1_767_323_045_678;

/// A request, as its receiver has it or as its sender signed it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub body: Vec<u8>,
    /// Text of the timestamp header; `None` where it is missing.
    pub timestamp: Option<String>,
    pub id: String,
    pub secrets: Vec<String>,
    pub previous: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub public_urls: Vec<String>,
    pub version: Option<&'static str>,
    pub now: u64,
}

/// What is done with key and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    Hmac,
    Swapped,
    SecretFirst,
    SecretLast,
    NoSecret,
}

/// A request on both sides, and how the sender makes the signature.
#[derive(Debug, Clone)]
pub struct World {
    /// What the receiver checks it as.
    pub scheme: Scheme,
    /// What the sender makes it as.
    pub made_as: Scheme,
    /// As received.
    pub got: Request,
    /// As signed.
    pub sent: Request,
    pub mix: Option<Mix>,
    /// The key, where it isn't what the scheme makes of the secret.
    pub key: Option<Vec<u8>>,
    /// The message, where it isn't the scheme's.
    pub message: Option<Vec<u8>>,
    /// The URL as signed, where it isn't what the scheme makes of it.
    pub signed_url: Option<String>,
    /// The header's value, where it isn't as the scheme writes it.
    pub written: Option<fn(&[u8]) -> String>,
    /// The body as a value.
    pub json: Value,
}

impl World {
    /// Changes the request on both sides.
    pub fn both(&mut self, change: impl Fn(&mut Request)) {
        change(&mut self.got);
        change(&mut self.sent);
    }

    /// Makes a JSON body on both sides: received as `got`, signed as `sent`.
    pub fn bodies(&mut self, got: impl Into<Vec<u8>>, sent: impl Into<Vec<u8>>) {
        self.got.body = got.into();
        self.sent.body = sent.into();
    }

    pub fn key(&self) -> Vec<u8> {
        let secret = self.sent.secrets[0].as_str();
        self.key.clone().unwrap_or_else(|| match self.made_as {
            Scheme::StandardWebhooks => STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap(),
            _ => secret.as_bytes().to_vec(),
        })
    }

    pub fn message(&self) -> Vec<u8> {
        if let Some(message) = &self.message {
            return message.clone();
        }
        let Request { method, url, body, id, timestamp, .. } = &self.sent;
        let timestamp = timestamp.as_deref().unwrap_or_default();
        let url = self.signed_url.clone().unwrap_or_else(|| match self.made_as {
            Scheme::HubspotV3 => v3_uri(url).into_owned(),
            _ => url.clone(),
        });
        match self.made_as {
            Scheme::HubspotV2 => [method.as_bytes(), url.as_bytes(), body].concat(),
            Scheme::HubspotV3 => [method.as_bytes(), url.as_bytes(), body, timestamp.as_bytes()].concat(),
            Scheme::StandardWebhooks => [format!("{id}.{timestamp}.").as_bytes(), body].concat(),
            _ => body.clone(),
        }
    }

    pub fn digest(&self) -> Vec<u8> {
        let (key, message) = (self.key(), self.message());
        let hmac = |key: &[u8], message: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        };
        let own = match self.made_as {
            Scheme::HubspotV1 | Scheme::HubspotV2 => Mix::SecretFirst,
            _ => Mix::Hmac,
        };
        match self.mix.unwrap_or(own) {
            Mix::Hmac => hmac(&key, &message),
            Mix::Swapped => hmac(&message, &key),
            Mix::SecretFirst => Sha256::digest([key, message].concat()).to_vec(),
            Mix::SecretLast => Sha256::digest([message, key].concat()).to_vec(),
            Mix::NoSecret => Sha256::digest(message).to_vec(),
        }
    }

    pub fn signature(&self) -> String {
        let digest = self.digest();
        if let Some(written) = self.written {
            return written(&digest);
        }
        match self.made_as {
            Scheme::HubspotV1 | Scheme::HubspotV2 => hex::encode(digest),
            Scheme::HubspotV3 | Scheme::Shopify => STANDARD.encode(digest),
            Scheme::StandardWebhooks => format!("v1,{}", STANDARD.encode(digest)),
            Scheme::Github => format!("sha256={}", hex::encode(digest)),
        }
    }

    /// What the doctor says to the receiver.
    pub fn diagnosis(&self) -> Diagnosis {
        let got = &self.got;
        let mut headers = got.headers.clone();
        headers.push((self.scheme.header().to_owned(), self.signature()));
        if let Some(version) = got.version {
            headers.push(("x-hubspot-signature-version".to_owned(), version.to_owned()));
        }
        if let (Some(header), Some(timestamp)) = (self.scheme.timestamp_header(), &got.timestamp) {
            headers.push((header.to_owned(), timestamp.clone()));
        }
        if self.scheme == Scheme::StandardWebhooks || self.made_as == Scheme::StandardWebhooks {
            headers.push(("webhook-id".to_owned(), got.id.clone()));
        }
        if self.made_as != self.scheme
            && let Some(header) = self.made_as.timestamp_header()
            && let Some(timestamp) = &self.sent.timestamp
        {
            headers.push((header.to_owned(), timestamp.clone()));
        }
        let (secrets, previous, public) =
            (texts(&got.secrets), texts(&got.previous), texts(&got.public_urls));
        let received = Received { method: &got.method, uri: &got.url, headers: &headers, body: &got.body };
        diagnose(&Case {
            previous_secrets: &previous,
            scheme: Some(self.scheme),
            now: Some(UnixMs(got.now)),
            public_urls: &public,
            ..Case::new(received, &secrets)
        })
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// A request that is signed rightly.
pub fn worlds(scheme: Scheme) -> impl Strategy<Value = World> {
    let url = ("[a-z]{3,8}", "[a-z]{2,6}", "[a-z]{2,6}", "[a-z0-9]{1,5}", "[a-z0-9]{1,5}");
    let parts =
        (prop::sample::select(&["POST", "PUT", "PATCH"][..]), url, members(), any::<[u8; 32]>(), 10..99u32);
    parts.prop_map(move |(method, (host, first, second, one, two), members, key, number)| {
        // Parameters out of order, with escapes that v3 decodes and some that it doesn't.
        let url =
            format!("https://{host}.example/{first}/{second}?q=a%20{one}&b={two}%3A{number}&a=J%C3%B8r%2Fn");
        let json = Value::Object(members);
        let secret = match scheme {
            Scheme::StandardWebhooks => format!("whsec_{}", STANDARD.encode(key)),
            _ => STANDARD.encode(key),
        };
        let timestamp = match scheme {
            Scheme::StandardWebhooks => SIGNED_MS / 1_000,
            _ => SIGNED_MS,
        };
        let request = Request {
            method: method.to_owned(),
            url,
            body: json.to_string().into_bytes(),
            timestamp: Some(timestamp.to_string()),
            id: format!("msg_{one}{two}"),
            secrets: vec![secret],
            previous: Vec::new(),
            headers: Vec::new(),
            public_urls: Vec::new(),
            version: None,
            now: SIGNED_MS + 1_000,
        };
        World {
            scheme,
            made_as: scheme,
            got: request.clone(),
            sent: request,
            mix: None,
            key: None,
            message: None,
            signed_url: None,
            written: None,
            json,
        }
    })
}

/// Members of a JSON object: out of order, and with letters that writers of JSON treat differently.
fn members() -> impl Strategy<Value = Map<String, Value>> {
    let text = "[a-zé/<&'\" ]{0,12}";
    let value = prop_oneof![
        text.prop_map(Value::from),
        (0..1_000_000u32).prop_map(Value::from),
        (1..1_000u32).prop_map(|number| json!(f64::from(number) + 0.5)),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(text, 1..3).prop_map(Value::from),
    ];
    prop::collection::vec(("[b-y]{1,5}", value), 1..6).prop_map(|extra| {
        let mut members = Map::new();
        members.insert("z".to_owned(), json!("J\u{f8}rgen's <b>/</b> & \"co\""));
        members.extend(extra);
        members.insert("a".to_owned(), json!({"y": [1, 2], "x": {}}));
        members
    })
}

/// How a writer of JSON writes it; a naive one, for the values of [`worlds`].
#[derive(Clone, Copy)]
pub struct Style {
    pub spaced: bool,
    pub sorted: bool,
    pub letter: fn(char) -> String,
}

/// As it is, but for what JSON has to escape.
pub fn plain(letter: char) -> String {
    match letter {
        '"' | '\\' => format!("\\{letter}"),
        other => other.to_string(),
    }
}

pub fn ascii(letter: char) -> String {
    if letter.is_ascii() { plain(letter) } else { format!("\\u{:04x}", letter as u32) }
}

pub fn slashes(letter: char) -> String {
    if letter == '/' { "\\/".to_owned() } else { plain(letter) }
}

pub fn php(letter: char) -> String {
    if letter == '/' { "\\/".to_owned() } else { ascii(letter) }
}

pub fn html_safe(letter: char) -> String {
    if "<>&".contains(letter) { format!("\\u{:04x}", letter as u32) } else { plain(letter) }
}

pub fn dotnet(letter: char) -> String {
    if letter.is_ascii() && !"\"<>&'+`".contains(letter) {
        plain(letter)
    } else {
        format!("\\u{:04X}", letter as u32)
    }
}

pub fn written(value: &Value, style: Style) -> String {
    let (comma, colon) = if style.spaced { (", ", ": ") } else { (",", ":") };
    let string = |text: &str| format!("\"{}\"", text.chars().map(style.letter).collect::<String>());
    match value {
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| written(item, style)).collect();
            format!("[{}]", items.join(comma))
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            if style.sorted {
                members.sort_by_key(|(name, _)| name.as_str());
            }
            let member = |(name, value): &(&String, &Value)| {
                format!("{}{colon}{}", string(name), written(value, style))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(comma))
        }
        other => other.to_string(),
    }
}
