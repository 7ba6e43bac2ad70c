//! Which URLs may be called, and how they are written.
//!
//! A Worker can't pin the address that a name resolves to: the platform resolves it. So this rule is
//! about what a URL says, not about where a name leads; the platform's own rule
//! (`global_fetch_strictly_public`) stands behind it.
//!
//! ```
//! use varde_core::endpoint_url::{BlockedUrl, EndpointUrl, Policy};
//!
//! let url = EndpointUrl::parse("https://Shop.Example/orders/ä?x=1#top", Policy::PUBLIC).unwrap();
//! assert_eq!(url.as_str(), "https://shop.example/orders/%C3%A4?x=1");
//!
//! let blocked = EndpointUrl::parse("https://0x7f.1/", Policy::PUBLIC);
//! assert_eq!(blocked, Err(BlockedUrl::IpLiteral { found: "127.0.0.1".into() }));
//! ```

use core::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use url::{Host, Url};

/// Longest URL, in bytes, before and after serialising; what every server and log still takes.
pub const MAX_LENGTH: usize = 2_048;

/// First port that isn't reserved for system services: below it only 443 may be called, so that nobody
/// is made to talk to a mail or shell server.
pub const MIN_PORT: u16 = 1_024;

/// Names that never lead to the public internet, alone or as an ending: RFC 6761 (`localhost`, `test`,
/// `invalid`; not `example`, of which documentation is full), RFC 6762 (`local`, and in its appendix G what
/// private networks use: `intranet`, `private`, `corp`, `home`, `lan`), RFC 7686 (`onion`), RFC 9476 (`alt`),
/// `arpa` with RFC 8375's `home.arpa`, ICANN's reservation of `internal`, and what resolvers on Linux
/// (`localdomain`, `localdomain6`) and in clusters (`svc`) add.
const PRIVATE_NAMES: [&str; 16] = [
    "localhost",
    "test",
    "invalid",
    "local",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "onion",
    "alt",
    "arpa",
    "internal",
    "localdomain",
    "localdomain6",
    "svc",
];

/// All but the unreserved characters of RFC 3986, section 2.3. Safe as a path segment and as a query
/// component alike, so that a value needn't know where it stands.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What may be called besides the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Also http and https on `127.0.0.1` and `localhost`, at any port; for development.
    pub allow_loopback: bool,
}

impl Policy {
    /// The public internet only.
    pub const PUBLIC: Self = Self { allow_loopback: false };
    /// The public internet, and this machine.
    pub const WITH_LOOPBACK: Self = Self { allow_loopback: true };
}

/// Why a URL may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockedUrl {
    /// Longer than [`MAX_LENGTH`].
    #[error("URL may have at most {MAX_LENGTH} bytes, has {found}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// A character that readers of URLs treat differently.
    #[error("URL may not hold {found:?}")]
    Character {
        /// The first such character.
        found: char,
    },
    /// Neither `https://` and a host, nor what the policy allows besides.
    #[error("URL must start with `https://` and a host")]
    Scheme,
    /// A user name or password in the URL, or an `@` that looks like one.
    #[error("URL may not hold a user name or password; use the action's `auth`")]
    UserInfo,
    /// Not a URL (WHATWG URL).
    #[error("malformed URL: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// An IP address, in whatever spelling; the platform refuses public ones, and the others aren't public.
    #[error("URL must name its host, not give an IP address ({found})")]
    IpLiteral {
        /// The address, as understood.
        found: String,
    },
    /// A name that leads nowhere on the public internet.
    #[error("host `{found}` isn't on the public internet")]
    PrivateName {
        /// The host.
        found: String,
    },
    /// A port of a system service.
    #[error("port must be 443 or at least {MIN_PORT}, is {found}")]
    Port {
        /// The port.
        found: u16,
    },
    /// `.` or `..` as a path segment, where values filled in must not move the path.
    #[error("path may not hold a `.` or `..` segment where values are filled in")]
    DotSegment,
    /// Filled in, the URL leads to another host than the one that was written.
    #[error("values filled in may not change the host")]
    HostChanged,
}

impl BlockedUrl {
    /// Stable slug for people and programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "request_too_large",
            _ => "blocked_url",
        }
    }
}

/// A URL that may be called, as it goes over the wire: parsed and serialised once, without fragment.
///
/// Its text parses to itself, so what is signed is what is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Parses a URL and checks it against the rule.
    ///
    /// # Errors
    ///
    /// Says which part of the rule the URL breaks.
    pub fn parse(text: &str, policy: Policy) -> Result<Self, BlockedUrl> {
        check_spelling(text)?;
        let mut url =
            Url::parse(text).map_err(|reason| BlockedUrl::Malformed { reason: reason.to_string() })?;
        url.set_fragment(None);
        // The runtime's parser sends `^` in a path as `%5E`, as the URL standard says since 2023; the
        // `url` crate leaves it. A signature covers the URL as sent.
        if url.path().contains('^') {
            let path = url.path().replace('^', "%5E");
            url.set_path(&path);
        }
        check_destination(&url, policy)?;
        check_length(url.as_str())?;
        Ok(Self(url))
    }

    /// The URL with parameters appended to its own ones, in order, percent-encoded.
    ///
    /// # Errors
    ///
    /// [`BlockedUrl::TooLong`], if there are too many.
    pub fn with_parameters<'p>(
        mut self,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Self, BlockedUrl> {
        let mut query = self.0.query().unwrap_or_default().to_owned();
        for (name, value) in parameters {
            if !query.is_empty() && !query.ends_with('&') {
                query.push('&');
            }
            let (name, value) = (percent_encoded(name), percent_encoded(value));
            write!(query, "{name}={value}").expect("invariant: a String takes all text");
            if query.len() > MAX_LENGTH {
                break;
            }
        }
        if !query.is_empty() {
            self.0.set_query(Some(&query));
        }
        check_length(self.0.as_str())?;
        Ok(self)
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host in ASCII, lower case, as in a `Host` header but without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether scheme, host and port are the same.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.0.scheme() == other.0.scheme()
            && self.0.host_str() == other.0.host_str()
            && self.0.port() == other.0.port()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<EndpointUrl> for String {
    fn from(url: EndpointUrl) -> Self {
        url.0.into()
    }
}

/// A value, ready to stand in a path segment or a query component.
pub fn percent_encoded(value: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(value, COMPONENT)
}

/// The part of a URL's text between `//` and the path, query or fragment, if it starts as ours must.
pub(crate) fn authority(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (known && end > 0).then(|| &rest[..end])
}

/// Refuses what parsers of URLs quietly repair, each in its own way: that is where two of them come to
/// disagree about the host.
fn check_spelling(text: &str) -> Result<(), BlockedUrl> {
    check_length(text)?;
    if let Some(found) = text.chars().find(|&c| c.is_control() || c == '\\') {
        return Err(BlockedUrl::Character { found });
    }
    let ends = [text.chars().next(), text.chars().next_back()];
    if let Some(found) = ends.into_iter().flatten().find(|c| c.is_whitespace()) {
        return Err(BlockedUrl::Character { found });
    }
    let authority = authority(text).ok_or(BlockedUrl::Scheme)?;
    if authority.contains('@') { Err(BlockedUrl::UserInfo) } else { Ok(()) }
}

fn check_destination(url: &Url, policy: Policy) -> Result<(), BlockedUrl> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BlockedUrl::UserInfo);
    }
    let host = url.host_str().unwrap_or_default();
    if policy.allow_loopback && matches!(host, "127.0.0.1" | "localhost") {
        return Ok(());
    }
    if url.scheme() != "https" {
        return Err(BlockedUrl::Scheme);
    }
    match url.host() {
        Some(Host::Domain(name)) if is_public(name) => {}
        Some(Host::Domain(name)) => return Err(BlockedUrl::PrivateName { found: name.to_owned() }),
        Some(address) => return Err(BlockedUrl::IpLiteral { found: address.to_string() }),
        None => return Err(BlockedUrl::Scheme),
    }
    match url.port() {
        Some(found) if found < MIN_PORT => Err(BlockedUrl::Port { found }),
        _ => Ok(()),
    }
}

fn check_length(text: &str) -> Result<(), BlockedUrl> {
    if text.len() > MAX_LENGTH { Err(BlockedUrl::TooLong { found: text.len() }) } else { Ok(()) }
}

/// Whether a name, in lower case, could be one of the public DNS.
fn is_public(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let private =
        |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let labels_are_whole = name.split('.').all(|label| !label.is_empty());
    name.contains('.') && labels_are_whole && !PRIVATE_NAMES.iter().any(private)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(text: &str) -> Result<String, BlockedUrl> {
        EndpointUrl::parse(text, Policy::PUBLIC).map(Into::into)
    }

    #[test]
    fn takes_and_normalises_public_urls() {
        for (text, written) in [
            ("https://shop.example/orders?src=crm", "https://shop.example/orders?src=crm"),
            ("https://shop.example", "https://shop.example/"),
            ("HTTPS://SHOP.Example/A", "https://shop.example/A"),
            ("https://shop.example:443/", "https://shop.example/"),
            ("https://shop.example:8443/", "https://shop.example:8443/"),
            ("https://shop.example:1024/", "https://shop.example:1024/"),
            ("https://shop.example:65535/", "https://shop.example:65535/"),
            ("https://shop.example:/", "https://shop.example/"),
            ("https://shop.example./", "https://shop.example./"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://shop.example/a b?c d", "https://shop.example/a%20b?c%20d"),
            ("https://shop.example/a/./b/../c", "https://shop.example/a/c"),
            ("https://shop.example/?q=a@b", "https://shop.example/?q=a@b"),
            ("https://shop.example/@me", "https://shop.example/@me"),
            ("https://shop.example/x#frag", "https://shop.example/x"),
            ("https://shop.example/x?#frag", "https://shop.example/x?"),
            ("https://shop.example#frag@evil", "https://shop.example/"),
            ("https://locale.example/", "https://locale.example/"),
            ("https://notlocalhost.example/", "https://notlocalhost.example/"),
            ("https://thelocal.example.internal.example/", "https://thelocal.example.internal.example/"),
            ("https://local.example/", "https://local.example/"),
            ("https://1.2.3.4.example/", "https://1.2.3.4.example/"),
            ("https://a.example/%2F%2e", "https://a.example/%2F%2e"),
        ] {
            assert_eq!(public(text).as_deref(), Ok(written), "{text}");
        }
    }

    #[test]
    fn a_caret_in_a_path_is_written_as_the_runtime_sends_it() {
        assert_eq!(public("https://a.example/x^y/^?q=^").unwrap(), "https://a.example/x%5Ey/%5E?q=^");
        assert_eq!(public("https://a.example/x%5Ey%2F").unwrap(), "https://a.example/x%5Ey%2F");
    }

    /// Every spelling that some resolver takes for an IPv4 or IPv6 address.
    #[test]
    fn refuses_ip_addresses_in_any_spelling() {
        for (host, found) in [
            // IPv4: dotted, decimal, octal, hex, short forms, percent-encoded, full-width, mixed.
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("0X7F.0.0.1", "127.0.0.1"),
            ("017700000001", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("127.0.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("%31%32%37.0.0.1", "127.0.0.1"),
            ("１２７.0.0.1", "127.0.0.1"),
            ("127。0。0。1", "127.0.0.1"),
            ("①②⑦.0.0.1", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("0.0.0.0", "0.0.0.0"),
            ("10.0.0.1", "10.0.0.1"),
            ("012.1", "10.0.0.1"),
            ("100.64.0.1", "100.64.0.1"),
            ("169.254.169.254", "169.254.169.254"),
            ("2852039166", "169.254.169.254"),
            ("0xa9fea9fe", "169.254.169.254"),
            ("169.254.43518", "169.254.169.254"),
            ("172.16.0.1", "172.16.0.1"),
            ("192.0.0.1", "192.0.0.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.168.1.1", "192.168.1.1"),
            ("198.18.0.1", "198.18.0.1"),
            ("198.51.100.1", "198.51.100.1"),
            ("203.0.113.1", "203.0.113.1"),
            ("224.0.0.1", "224.0.0.1"),
            ("240.0.0.1", "240.0.0.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("1.1.1.1", "1.1.1.1"),
            ("8.8.8.8", "8.8.8.8"),
            // IPv6: unspecified, loopback, mapped, compatible, NAT64, 6to4, Teredo, ULA, link-local,
            // multicast, documentation, metadata, public.
            ("[::]", "[::]"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
            ("[::ffff:7f00:1]", "[::ffff:7f00:1]"),
            ("[::127.0.0.1]", "[::7f00:1]"),
            ("[64:ff9b::7f00:1]", "[64:ff9b::7f00:1]"),
            ("[64:ff9b:1::10.0.0.1]", "[64:ff9b:1::a00:1]"),
            ("[2002:7f00:1::]", "[2002:7f00:1::]"),
            ("[2001:0:7f00:1::]", "[2001:0:7f00:1::]"),
            ("[fc00::1]", "[fc00::1]"),
            ("[fd00:ec2::254]", "[fd00:ec2::254]"),
            ("[fe80::1]", "[fe80::1]"),
            ("[ff02::1]", "[ff02::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("[2606:4700:4700::1111]", "[2606:4700:4700::1111]"),
        ] {
            let blocked = BlockedUrl::IpLiteral { found: found.to_owned() };
            assert_eq!(public(&format!("https://{host}/")), Err(blocked.clone()), "{host}");
            assert_eq!(public(&format!("https://{host}:8443/x")), Err(blocked), "{host}:8443");
        }
    }

    #[test]
    fn refuses_names_that_are_not_public() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "api.localhost",
            "loc\u{ad}alhost",
            "ｌｏｃａｌｈｏｓｔ",
            "%6cocalhost",
            "printer.local",
            "printer.local.",
            "local",
            "db.internal",
            "metadata.google.internal",
            "metadata.google.internal.",
            "internal",
            "nas.home.arpa",
            "home.arpa",
            "intranet",
            "intranet.",
            "a..example",
            ".example",
            "example..",
        ] {
            let refused = public(&format!("https://{host}/"));
            assert!(matches!(refused, Err(BlockedUrl::PrivateName { .. })), "{host}: {refused:?}");
        }
    }

    #[test]
    fn refuses_by_the_rule_it_breaks() {
        for (text, blocked) in [
            ("http://shop.example/", BlockedUrl::Scheme),
            ("ftp://shop.example/", BlockedUrl::Scheme),
            ("file:///etc/passwd", BlockedUrl::Scheme),
            ("data:text/plain,x", BlockedUrl::Scheme),
            ("javascript:alert(1)", BlockedUrl::Scheme),
            ("//shop.example/", BlockedUrl::Scheme),
            ("shop.example", BlockedUrl::Scheme),
            ("", BlockedUrl::Scheme),
            ("https:shop.example", BlockedUrl::Scheme),
            ("https:/shop.example", BlockedUrl::Scheme),
            ("https:///shop.example", BlockedUrl::Scheme),
            ("https://", BlockedUrl::Scheme),
            ("https://?x", BlockedUrl::Scheme),
            ("blob:https://shop.example/x", BlockedUrl::Scheme),
            ("https://user@shop.example/", BlockedUrl::UserInfo),
            ("https://user:pass@shop.example/", BlockedUrl::UserInfo),
            ("https://good.example@evil.example/", BlockedUrl::UserInfo),
            ("https://@shop.example/", BlockedUrl::UserInfo),
            ("https://:@shop.example/", BlockedUrl::UserInfo),
            ("https://good.example\\@evil.example/", BlockedUrl::Character { found: '\\' }),
            ("https:\\\\shop.example/", BlockedUrl::Character { found: '\\' }),
            ("https://shop.example/a\\b", BlockedUrl::Character { found: '\\' }),
            ("https://lo\tcalhost/", BlockedUrl::Character { found: '\t' }),
            ("https://shop.example/\n", BlockedUrl::Character { found: '\n' }),
            ("https://shop.example/\r\nx", BlockedUrl::Character { found: '\r' }),
            ("https://shop.example/\0", BlockedUrl::Character { found: '\0' }),
            (" https://shop.example/", BlockedUrl::Character { found: ' ' }),
            ("https://shop.example/ ", BlockedUrl::Character { found: ' ' }),
            ("https://shop.example/\u{a0}", BlockedUrl::Character { found: '\u{a0}' }),
            ("https://shop.example:22/", BlockedUrl::Port { found: 22 }),
            ("https://shop.example:80/", BlockedUrl::Port { found: 80 }),
            ("https://shop.example:0/", BlockedUrl::Port { found: 0 }),
            ("https://shop.example:1023/", BlockedUrl::Port { found: 1023 }),
        ] {
            assert_eq!(public(text), Err(blocked), "{text:?}");
        }
        for malformed in [
            "https://shop.example:65536/",
            "https://shop.example:x/",
            "https://1.2.3.4.5/",
            "https://256.1.1.1/",
            "https://0x100000000/",
            "https://[::1",
            "https://[::1%25eth0]/",
            "https://a b.example/",
            "https://a%00.example/",
            "https://a%2F.example/",
            "https://xn--a.example/",
        ] {
            let refused = public(malformed);
            assert!(matches!(refused, Err(BlockedUrl::Malformed { .. })), "{malformed}: {refused:?}");
            assert_eq!(refused.unwrap_err().code(), "blocked_url");
        }
    }

    #[test]
    fn length_counts_before_and_after() {
        let fits = format!("https://a.example/{}", "x".repeat(MAX_LENGTH - 18));
        assert_eq!(public(&fits).unwrap().len(), MAX_LENGTH);
        let error = public(&format!("{fits}x")).unwrap_err();
        assert_eq!(error, BlockedUrl::TooLong { found: MAX_LENGTH + 1 });
        assert_eq!(error.code(), "request_too_large");
        let grows = format!("https://a.example/{}", "é".repeat(1_000));
        assert_eq!(public(&grows), Err(BlockedUrl::TooLong { found: 18 + 6_000 }));
    }

    #[test]
    fn loopback_is_two_hosts_and_nothing_else() {
        let loopback = |text| EndpointUrl::parse(text, Policy::WITH_LOOPBACK).map(String::from);
        for text in [
            "http://127.0.0.1/",
            "http://127.0.0.1:8787/inspect/x?y",
            "https://127.0.0.1:8443/",
            "http://localhost/",
            "http://localhost:80/",
            "https://localhost:22/",
            "https://localhost/",
            "http://LOCALHOST:1/",
        ] {
            assert!(loopback(text).is_ok(), "{text}");
            assert!(public(text).is_err(), "{text}");
        }
        for text in [
            "http://127.0.0.2/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost./",
            "http://api.localhost/",
            "http://10.0.0.1/",
            "http://shop.example/",
            "http://user@localhost/",
            "ws://localhost/",
            "http://localhost.example:80/",
            "https://shop.example:80/",
        ] {
            assert!(loopback(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parameters_are_appended_in_order() {
        for (base, written) in [
            ("https://a.example/", "https://a.example/?b=1%202&c=%26%3D%2B%2F&b=%C3%A9"),
            ("https://a.example/p?x=y", "https://a.example/p?x=y&b=1%202&c=%26%3D%2B%2F&b=%C3%A9"),
            ("https://a.example/?", "https://a.example/?b=1%202&c=%26%3D%2B%2F&b=%C3%A9"),
            ("https://a.example/?x&", "https://a.example/?x&b=1%202&c=%26%3D%2B%2F&b=%C3%A9"),
        ] {
            let url = EndpointUrl::parse(base, Policy::PUBLIC).unwrap();
            let url = url.with_parameters([("b", "1 2"), ("c", "&=+/"), ("b", "é")]).unwrap();
            assert_eq!(url.as_str(), written);
        }
        for untouched in ["https://a.example/", "https://a.example/?", "https://a.example/?x"] {
            let url = EndpointUrl::parse(untouched, Policy::PUBLIC).unwrap();
            assert_eq!(url.with_parameters([]).unwrap().as_str(), untouched);
        }
        let url = EndpointUrl::parse("https://a.example/", Policy::PUBLIC).unwrap();
        let error = url.with_parameters([("b", "x".repeat(3_000).as_str())]).unwrap_err();
        assert_eq!(error.code(), "request_too_large");
    }

    #[test]
    fn origins_are_compared_whole() {
        let url = |text| EndpointUrl::parse(text, Policy::WITH_LOOPBACK).unwrap();
        let base = url("https://a.example/x");
        assert!(base.same_origin(&url("https://a.example:443/y?z")));
        for other in ["https://b.example/x", "https://a.example:8443/x"] {
            assert!(!base.same_origin(&url(other)), "{other}");
        }
        assert!(!url("http://localhost:8443/").same_origin(&url("https://localhost:8443/")));
        assert_eq!(base.host(), "a.example");
    }

    /// Texts that look like URLs, with the parts that break parsers.
    fn url_like() -> impl Strategy<Value = String> {
        let host = prop_oneof![
            "[a-z0-9.-]{1,20}",
            "[0-9xX.]{1,15}",
            r"\[[0-9a-f:.]{2,20}\]",
            r"\PC{1,12}",
            Just("a.example".to_owned()),
        ];
        let rest = prop_oneof![r"[/?#][ -~]{0,40}", r"[/?#]\PC{0,20}", Just(String::new())];
        (prop_oneof!["https://", "http://", "[ -~]{0,10}"], host, prop_oneof!["", ":[0-9]{0,6}"], rest)
            .prop_map(|(scheme, host, port, rest)| format!("{scheme}{host}{port}{rest}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn what_is_accepted_parses_to_itself(text in url_like(), loopback: bool) {
            let policy = Policy { allow_loopback: loopback };
            if let Ok(url) = EndpointUrl::parse(&text, policy) {
                let again = EndpointUrl::parse(url.as_str(), policy);
                prop_assert_eq!(again.as_ref(), Ok(&url));
                prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
                prop_assert!(!url.0.path().contains(['^', '\\']));
                prop_assert!(url.as_str().len() <= MAX_LENGTH);
            }
        }

        #[test]
        fn what_is_accepted_is_a_public_name(text in url_like()) {
            if let Ok(url) = EndpointUrl::parse(&text, Policy::PUBLIC) {
                prop_assert!(url.host().contains('.') && url.host().parse::<core::net::IpAddr>().is_err());
                prop_assert!(url.as_str().starts_with("https://"));
            }
        }

        #[test]
        fn parameters_come_back_as_they_went_in(
            text in url_like(),
            pairs in proptest::collection::vec((".{0,8}", ".{0,8}"), 0..5),
        ) {
            if let Ok(url) = EndpointUrl::parse(&text, Policy::PUBLIC) {
                let before = url.0.query_pairs().count();
                let url = url.with_parameters(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap();
                let again = EndpointUrl::parse(url.as_str(), Policy::PUBLIC);
                prop_assert_eq!(again.as_ref(), Ok(&url));
                let after = url.0.query_pairs().into_owned().skip(before).collect::<Vec<_>>();
                prop_assert_eq!(after, pairs);
            }
        }
    }
}
