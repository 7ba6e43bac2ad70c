//! The part of the crate `url` that the core uses, for `http` and `https`, with the browser's own tables of
//! international host names. Only hosts are asked of the browser: how it writes paths and queries is its own.
//! `tests/e2e/urls.test.mjs` and `www/tests/urls.test.mjs` hold this one to what the real one says.

mod host;
mod punycode;
mod written;

use core::fmt;

pub use host::Host;
use host::host_of;
use written::{encoded_query, normalised_path};

/// It is no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// It doesn't begin with `http://` or `https://`, or has a user in it.
    Scheme,
    /// There is no host.
    EmptyHost,
    /// The host is none. Browsers don't say why.
    Host,
    /// The port is none.
    Port,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "no URL of http or https",
            Self::EmptyHost => "empty host",
            Self::Host => "invalid host",
            Self::Port => "invalid port number",
        })
    }
}

/// A URL, written as the standard says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: &'static str,
    host: String,
    port: Option<u16>,
    path: String,
    query: Option<String>,
    /// All of it.
    text: String,
}

impl Url {
    /// Reads an absolute URL. Its fragment is dropped.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim_matches(|c: char| c <= ' ').replace(['\t', '\n', '\r'], "");
        let (scheme, rest) = text.split_once(':').ok_or(ParseError::Scheme)?;
        let (scheme, own_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _ => return Err(ParseError::Scheme),
        };
        let rest = rest.trim_start_matches(['/', '\\']);
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(ParseError::Scheme);
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port_of(port)?),
            _ => (authority, None),
        };
        let mut url = Self {
            scheme,
            host: host_of(host)?,
            port: port.filter(|port| *port != own_port),
            path: normalised_path(path),
            query: query.map(encoded_query),
            text: String::new(),
        };
        url.write();
        Ok(url)
    }

    fn write(&mut self) {
        let Self { scheme, host, path, .. } = self;
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        self.text = format!("{scheme}://{host}{port}{path}{query}");
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the colon.
    pub const fn scheme(&self) -> &str {
        self.scheme
    }

    /// Empty: with a user it is none that can be read here.
    pub const fn username(&self) -> &'static str {
        ""
    }

    /// None, as there is no user.
    pub const fn password(&self) -> Option<&str> {
        None
    }

    /// The host as a text.
    pub fn host_str(&self) -> Option<&str> {
        Some(&self.host)
    }

    /// The host.
    pub fn host(&self) -> Option<Host<&str>> {
        Some(Host::of(self.host.as_str()))
    }

    /// The port, unless it is the scheme's own.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Replaces the path.
    pub fn set_path(&mut self, path: &str) {
        self.path = normalised_path(path);
        self.write();
    }

    /// The query.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Replaces the query.
    pub fn set_query(&mut self, query: Option<&str>) {
        self.query = query.map(encoded_query);
        self.write();
    }

    /// Nothing to do: the fragment is gone.
    pub const fn set_fragment(&mut self, _none: Option<&str>) {}
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.text
    }
}

/// The port of an authority, where it says one.
fn port_of(text: &str) -> Result<Option<u16>, ParseError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().map(Some).map_err(|_| ParseError::Port) } else { Err(ParseError::Port) }
}
