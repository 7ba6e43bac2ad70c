//! Where a secret may be sent: hosts by name, or all below a name.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Host;

/// A host (`api.example.com`) or all hosts below one (`*.example.com`, which isn't `example.com` itself).
///
/// Kept as URLs have it: lower case, international names in punycode.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    any_below: bool,
    host: String,
}

/// A text that isn't a host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name, or `*.` and a domain, with no scheme, port, or path")]
pub struct InvalidHost;

impl HostPattern {
    /// Whether `host` (as in a parsed URL) is meant by it. A trailing dot makes another name.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        if self.any_below {
            let below = host.strip_suffix(self.host.as_str()).and_then(|below| below.strip_suffix('.'));
            below.is_some_and(|below| !below.is_empty())
        } else {
            host == self.host
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;
    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let (any_below, name) = text.strip_prefix("*.").map_or((false, text), |below| (true, below));
        let host = Host::parse(name).map_err(|_| InvalidHost)?;
        match &host {
            // The URL parser lets stars and trailing dots through; here they would match nothing.
            Host::Domain(domain)
                if domain.contains('*') || domain.ends_with('.') || domain.starts_with('.') =>
            {
                Err(InvalidHost)
            }
            Host::Ipv4(_) | Host::Ipv6(_) if any_below => Err(InvalidHost),
            _ => Ok(Self { any_below, host: host.to_string() }),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;
    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.any_below { "*." } else { "" })?;
        f.write_str(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_the_hosts_it_means() {
        let cases = [
            ("api.example.com", "api.example.com", true),
            ("API.Example.Com", "api.example.com", true),
            ("api.example.com", "example.com", false),
            ("api.example.com", "x.api.example.com", false),
            ("api.example.com", "api.example.com.", false),
            ("api.example.com", "api.example.com.evil.example", false),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "api.example.com.", false),
            ("*.example.com", "api.example.com.evil.example", false),
            ("blåbær.example", "xn--blbr-roah.example", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("[::1]", "[::1]", true),
            ("localhost", "localhost", true),
        ];
        for (pattern, host, expected) in cases {
            let parsed: HostPattern = pattern.parse().unwrap();
            assert_eq!(parsed.allows(host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_host() {
        for bad in [
            "",
            "*",
            "*.",
            "*.*",
            "*.*.example.com",
            "a.*.example.com",
            "*example.com",
            "https://example.com",
            "example.com/path",
            "example.com:443",
            "user@example.com",
            "a b.example",
            ".example.com",
            "example.com.",
            "*..example.com",
            "*.127.0.0.1",
            "*.[::1]",
        ] {
            assert_eq!(bad.parse::<HostPattern>(), Err(InvalidHost), "{bad}");
        }
    }

    #[test]
    fn text_goes_in_and_out() {
        for text in ["api.example.com", "*.example.com", "[::1]"] {
            let json = format!("\"{text}\"");
            let pattern: HostPattern = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&pattern).unwrap(), json);
        }
        assert!(serde_json::from_str::<HostPattern>("\"*\"").is_err());
    }
}
