//! A curl command: the request that it would make. Source: curl's manual page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::shell::{self, Word};
use super::{At, Fault, Pasted};
use crate::endpoint_url::percent_encoded;

/// Short options with a value; the others are switches.
const SHORT_WITH_VALUE: &str = "AbcCdDeEFhHKmoPQrtTuUwxXyYz";
/// Long options that are switches and change nothing that is signed.
const SWITCHES: &[&str] = &[
    "anyauth",
    "basic",
    "compressed",
    "compressed-ssh",
    "create-dirs",
    "digest",
    "disable",
    "fail",
    "fail-early",
    "fail-with-body",
    "globoff",
    "http0.9",
    "http1.0",
    "http1.1",
    "http2",
    "http2-prior-knowledge",
    "http3",
    "http3-only",
    "include",
    "insecure",
    "ipv4",
    "ipv6",
    "junk-session-cookies",
    "keepalive",
    "location",
    "location-trusted",
    "negotiate",
    "no-alpn",
    "no-buffer",
    "no-keepalive",
    "no-progress-meter",
    "no-sessionid",
    "ntlm",
    "parallel",
    "path-as-is",
    "post301",
    "post302",
    "post303",
    "progress-bar",
    "raw",
    "remote-name",
    "remote-header-name",
    "show-error",
    "silent",
    "ssl",
    "ssl-reqd",
    "sslv2",
    "sslv3",
    "styled-output",
    "tcp-fastopen",
    "tcp-nodelay",
    "tlsv1",
    "tlsv1.0",
    "tlsv1.1",
    "tlsv1.2",
    "tlsv1.3",
    "tr-encoding",
    "trace-time",
    "verbose",
];
/// Long options with a value that change nothing that is signed.
const WITH_VALUE: &[&str] = &[
    "cacert",
    "capath",
    "cert",
    "cert-type",
    "ciphers",
    "connect-timeout",
    "connect-to",
    "cookie-jar",
    "dns-servers",
    "doh-url",
    "dump-header",
    "expect100-timeout",
    "interface",
    "keepalive-time",
    "key",
    "key-type",
    "limit-rate",
    "local-port",
    "max-filesize",
    "max-redirs",
    "max-time",
    "noproxy",
    "oauth2-bearer",
    "output",
    "output-dir",
    "pass",
    "pinnedpubkey",
    "preproxy",
    "proto",
    "proto-default",
    "proxy",
    "proxy-header",
    "proxy-user",
    "range",
    "rate",
    "resolve",
    "retry",
    "retry-delay",
    "retry-max-time",
    "socks4",
    "socks5",
    "socks5-hostname",
    "speed-limit",
    "speed-time",
    "stderr",
    "tls-max",
    "tls13-ciphers",
    "trace",
    "trace-ascii",
    "unix-socket",
    "write-out",
];

/// What the options have said so far.
#[derive(Default)]
struct Command {
    method: Option<String>,
    url: Option<String>,
    /// As given, in order; an empty value removes one of curl's own.
    headers: Vec<(String, Option<String>)>,
    data: Option<Vec<u8>>,
    json: bool,
    get: bool,
    head: bool,
    user: Option<Vec<u8>>,
    agent: Option<String>,
    referer: Option<String>,
    cookies: Vec<String>,
}

/// Reads the command whose word `curl` stands at `start`.
pub(super) fn read(text: &str, start: usize) -> Result<Pasted, At> {
    let words = shell::words(text, start)?;
    let mut words = words.into_iter().skip(1);
    let mut command = Command::default();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        let Word { at, bytes } = word;
        let option = String::from_utf8_lossy(&bytes).into_owned();
        let mut value =
            |name: &str| words.next().ok_or_else(|| (at, Fault::MissingValue { option: name.to_owned() }));
        if only_urls || option == "-" || !option.starts_with('-') {
            command.take_url(at, option)?;
        } else if option == "--" {
            only_urls = true;
        } else if let Some(name) = option.strip_prefix("--") {
            if takes_value(name) {
                let value = value(&option)?;
                command.long(at, name, &value.bytes)?;
            } else {
                command.switch(at, name)?;
            }
        } else {
            command.shorts(at, &bytes[1..], &mut value)?;
        }
    }
    command.request(text.len())
}

/// The long name of a short option that matters.
const fn long_name(short: u8) -> Option<&'static str> {
    Some(match short {
        b'A' => "user-agent",
        b'b' => "cookie",
        b'd' => "data",
        b'e' => "referer",
        b'F' => "form",
        b'G' => "get",
        b'H' => "header",
        b'I' => "head",
        b'K' => "config",
        b'T' => "upload-file",
        b'u' => "user",
        b'X' => "request",
        b':' => "next",
        _ => return None,
    })
}

fn takes_value(name: &str) -> bool {
    let known = [
        "request",
        "url",
        "header",
        "data",
        "data-ascii",
        "data-raw",
        "data-binary",
        "data-urlencode",
        "json",
        "user",
        "user-agent",
        "referer",
        "cookie",
        "form",
        "form-string",
        "upload-file",
        "config",
        "url-query",
    ];
    known.contains(&name) || WITH_VALUE.contains(&name)
}

impl Command {
    fn take_url(&mut self, at: usize, url: String) -> Result<(), At> {
        if self.url.replace(url).is_some() {
            return Err((at, Fault::SecondRequest));
        }
        Ok(())
    }

    /// A word of short options: switches, then at most one with a value, which may follow at once.
    fn shorts(
        &mut self,
        at: usize,
        letters: &[u8],
        value: &mut impl FnMut(&str) -> Result<Word, At>,
    ) -> Result<(), At> {
        for (index, &letter) in letters.iter().enumerate() {
            let option = || format!("-{}", char::from(letter));
            if SHORT_WITH_VALUE.as_bytes().contains(&letter) {
                let rest = letters.get(index + 1..).unwrap_or_default();
                let bytes = if rest.is_empty() { value(&option())?.bytes } else { rest.to_vec() };
                return match long_name(letter) {
                    Some(name) => self.long(at, name, &bytes),
                    None => Ok(()),
                };
            }
            match long_name(letter) {
                Some(name) => self.switch(at, name)?,
                None if letter.is_ascii_alphanumeric() || letter == b'#' => {}
                None => return Err((at, Fault::UnknownOption { option: option() })),
            }
        }
        Ok(())
    }

    fn switch(&mut self, at: usize, name: &str) -> Result<(), At> {
        match name {
            "get" => self.get = true,
            "head" => self.head = true,
            "next" => return Err((at, Fault::SecondRequest)),
            _ if SWITCHES.contains(&name) || name.starts_with("no-") => {}
            _ => return Err((at, Fault::UnknownOption { option: format!("--{name}") })),
        }
        Ok(())
    }

    fn long(&mut self, at: usize, name: &str, value: &[u8]) -> Result<(), At> {
        let text = || String::from_utf8_lossy(value).into_owned();
        let encoded = if name == "data-urlencode" { url_encoded(&text()) } else { None };
        let reads_a_file = match name {
            "header" | "data" | "data-ascii" | "data-binary" | "json" => value.starts_with(b"@"),
            "data-urlencode" => encoded.is_none(),
            "cookie" => !value.contains(&b'='),
            "upload-file" | "config" => true,
            _ => false,
        };
        if reads_a_file {
            return Err((at, Fault::File { option: format!("--{name} {}", super::shortened(&text())) }));
        }
        match name {
            "request" => self.method = Some(text()),
            "url" => self.take_url(at, text())?,
            "header" => self.header(&text()),
            "data" | "data-ascii" | "data-binary" | "data-raw" => self.add_data(b"&", value),
            "data-urlencode" => self.add_data(b"&", encoded.unwrap_or_default().as_bytes()),
            "json" => {
                self.json = true;
                self.add_data(b"", value);
            }
            "user" => self.user = Some(value.to_vec()),
            "oauth2-bearer" => self.header(&format!("Authorization: Bearer {}", text())),
            "user-agent" => self.agent = Some(text()),
            "referer" => self.referer = Some(text()),
            "cookie" => self.cookies.push(text()),
            "form" | "form-string" => return Err((at, Fault::Multipart { option: format!("--{name}") })),
            "url-query" => return Err((at, Fault::UnknownOption { option: "--url-query".to_owned() })),
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self, line: &str) {
        let trimmed = |text: &str| text.trim().to_owned();
        if let Some((name, value)) = line.split_once(':') {
            let value = Some(trimmed(value)).filter(|value| !value.is_empty());
            self.headers.push((trimmed(name), value));
        } else if let Some(name) = line.trim_end().strip_suffix(';') {
            self.headers.push((trimmed(name), Some(String::new())));
        }
    }

    fn add_data(&mut self, between: &[u8], more: &[u8]) {
        match &mut self.data {
            Some(data) => {
                data.extend_from_slice(between);
                data.extend_from_slice(more);
            }
            None => self.data = Some(more.to_vec()),
        }
    }

    fn request(self, end: usize) -> Result<Pasted, At> {
        let mut url = whole_url(self.url.as_deref().ok_or((end, Fault::NoUrl))?);
        let mut body = self.data.unwrap_or_default();
        let has_body = !self.get && (!body.is_empty() || self.json);
        if self.get && !body.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&String::from_utf8_lossy(&core::mem::take(&mut body)));
        }
        let default = match (self.head, has_body) {
            (true, _) => "HEAD",
            (false, true) => "POST",
            (false, false) => "GET",
        };
        let mut own = Vec::new();
        if let Some(mut user) = self.user {
            if !user.contains(&b':') {
                user.push(b':');
            }
            own.push(("Authorization", format!("Basic {}", STANDARD.encode(user))));
        }
        own.extend(self.agent.map(|agent| ("User-Agent", agent)));
        own.extend(self.referer.map(|referer| ("Referer", referer)));
        if !self.cookies.is_empty() {
            own.push(("Cookie", self.cookies.join("; ")));
        }
        if self.json {
            own.push(("Content-Type", "application/json".to_owned()));
            own.push(("Accept", "application/json".to_owned()));
        } else if has_body {
            own.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
        }
        // A header that was given, or taken away, stands in for curl's own.
        own.retain(|(name, _)| !self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
        let given = self.headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let headers = own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(given).collect();
        Ok(Pasted { method: self.method.unwrap_or_else(|| default.to_owned()), url, headers, body })
    }
}

/// `--data-urlencode`: `text`, `=text` or `name=text`; `None` for the forms that read a file.
fn url_encoded(value: &str) -> Option<String> {
    match value.find(['=', '@']) {
        None => Some(percent_encoded(value).to_string()),
        Some(at) if value[at..].starts_with('@') => None,
        Some(0) => Some(percent_encoded(&value[1..]).to_string()),
        Some(at) => Some(format!("{}={}", &value[..at], percent_encoded(&value[at + 1..]))),
    }
}

/// The URL as curl takes it: http where it names no scheme, with a path, without a fragment.
fn whole_url(given: &str) -> String {
    let given = given.trim().split('#').next().unwrap_or_default();
    let mut url = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url[authority..].find(['/', '?']).map(|at| authority + at) {
        None => url.push('/'),
        Some(at) if url[at..].starts_with('?') => url.insert(at, '/'),
        Some(_) => {}
    }
    url
}
