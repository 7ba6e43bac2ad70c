//! Hosts: what the browser's own `URL` makes of them.

use core::fmt;
use core::net::Ipv4Addr;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{ParseError, punycode};

/// How a label in Punycode begins.
const PUNYCODE: &str = "xn--";
/// An ending that no name changes or is changed by. Without one, a name of digits would be an IP address.
const ENDING: &str = ".x";
/// As Chromium writes a star in a host, where the standard leaves it. Other escapes stand for what can't be in one.
const ESCAPED_STAR: &str = "%2A";

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = URL)]
    type Browser;

    #[wasm_bindgen(constructor, js_class = "URL", catch)]
    fn new(text: &str) -> Result<Browser, JsValue>;

    #[wasm_bindgen(method, getter, js_class = "URL")]
    fn hostname(this: &Browser) -> String;
}

/// A host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<S> {
    /// A name.
    Domain(S),
    /// An IPv4 address.
    Ipv4(S),
    /// An IPv6 address, in brackets.
    Ipv6(S),
}

impl<S: AsRef<str>> Host<S> {
    pub(crate) fn of(text: S) -> Self {
        if text.as_ref().starts_with('[') {
            Self::Ipv6(text)
        } else if text.as_ref().parse::<Ipv4Addr>().is_ok() {
            Self::Ipv4(text)
        } else {
            Self::Domain(text)
        }
    }
}

impl Host<String> {
    /// Reads a host.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        host_of(text).map(Self::of)
    }
}

impl<S: fmt::Display> fmt::Display for Host<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Domain(text) | Self::Ipv4(text) | Self::Ipv6(text)) = self;
        text.fmt(f)
    }
}

/// A host as it goes over the wire.
pub(crate) fn host_of(text: &str) -> Result<String, ParseError> {
    if text.is_empty() {
        return Err(ParseError::EmptyHost);
    }
    // What would end the host in a URL isn't in one; a colon is in brackets only.
    let ends = |c: char| "/?#@\\".contains(c) || c == ':' && !text.starts_with('[');
    if text.contains(ends) {
        return Err(ParseError::Host);
    }
    let host = asked(text)?;
    for label in host.split('.') {
        let Some(encoded) = label.strip_prefix(PUNYCODE) else { continue };
        // Browsers let labels pass that decode to nothing, or to what they wouldn't have encoded.
        let decoded = punycode::decode(encoded).filter(|text| !text.is_ascii()).ok_or(ParseError::Host)?;
        if asked(&format!("{decoded}{ENDING}"))?.strip_suffix(ENDING) != Some(label) {
            return Err(ParseError::Host);
        }
    }
    Ok(host)
}

fn asked(host: &str) -> Result<String, ParseError> {
    let url = Browser::new(&format!("https://{host}/")).map_err(|_| ParseError::Host)?;
    let host = url.hostname().replace(ESCAPED_STAR, "*");
    if host.contains('%') { Err(ParseError::Host) } else { Ok(host) }
}
