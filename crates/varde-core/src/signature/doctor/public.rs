//! What a request and its reader tell about the address that the sender called: other hosts, ports and paths.

use super::Case;
use super::parts::Parts;

/// Most values of one kind that are taken; a proxy chain has a handful.
const MAX_OF_A_KIND: usize = 6;

/// Candidates for the parts of the address, likeliest first, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Public {
    /// Hosts, with a port where one was named.
    pub(super) authorities: Vec<String>,
    pub(super) ports: Vec<String>,
    /// What may have been cut off in front of the path; starts with a slash and doesn't end with one.
    pub(super) prefixes: Vec<String>,
    /// Whole paths with their queries, kept by a proxy.
    pub(super) paths: Vec<String>,
    /// Whole addresses.
    pub(super) urls: Vec<String>,
}

/// Collects them from the forwarding headers and from the addresses in [`Case::public_urls`].
pub(super) fn candidates(case: &Case<'_>) -> Public {
    let mut public = Public::default();
    for &text in case.public_urls {
        let url = Parts::parse(text.trim());
        if !url.authority.is_empty() {
            take(&mut public.urls, text.trim());
            take(&mut public.authorities, &url.authority);
            take(&mut public.ports, url.port().unwrap_or_default());
        }
        take_prefix(&mut public.prefixes, &url.path);
    }
    for (name, value) in case.received.headers {
        let name = name.to_ascii_lowercase();
        let first = value.split(',').next().unwrap_or_default().trim();
        match name.as_str() {
            "x-forwarded-host" | "x-original-host" | "host" | ":authority" => {
                take(&mut public.authorities, first);
            }
            "forwarded" => {
                for parameter in first.split(';') {
                    if let Some((name, host)) = parameter.split_once('=')
                        && name.trim().eq_ignore_ascii_case("host")
                    {
                        take(&mut public.authorities, host.trim().trim_matches('"'));
                    }
                }
            }
            "x-forwarded-port" => take(&mut public.ports, first),
            "x-forwarded-prefix" | "x-script-name" => take_prefix(&mut public.prefixes, first),
            "x-original-uri"
            | "x-original-url"
            | "x-rewrite-url"
            | "x-envoy-original-path"
            | "x-forwarded-uri"
            | "x-forwarded-path" => {
                let url = Parts::parse(value.trim());
                take(&mut public.authorities, &url.authority);
                take(&mut public.paths, &url.target());
            }
            _ => {}
        }
    }
    public
}

fn take(into: &mut Vec<String>, text: &str) {
    if !text.is_empty() && into.len() < MAX_OF_A_KIND && !into.iter().any(|known| known == text) {
        into.push(text.to_owned());
    }
}

fn take_prefix(into: &mut Vec<String>, path: &str) {
    let path = path.trim_matches('/');
    if !path.is_empty() {
        take(into, &format!("/{path}"));
        // An address with its last part may be given where only the first was cut off.
        if let Some((first, _)) = path.split_once('/') {
            take(into, &format!("/{first}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Received;

    #[test]
    fn hints_are_collected_once() {
        let headers = [
            ("Host", "internal:8080"),
            ("X-Forwarded-Host", "hooks.example.com, proxy.internal"),
            ("Forwarded", "for=1.2.3.4;Host=\"hooks.example.com:8443\";proto=https, for=x;host=second"),
            ("X-Forwarded-Port", "8443"),
            ("X-Forwarded-Prefix", "/api/"),
            ("X-Original-URI", "/api/hooks?x=1"),
            ("X-Original-URL", "https://orig.example/api/hooks?x=1"),
            ("X-Other", "no"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let received = Received { method: "POST", uri: "/hooks", headers: &headers, body: b"" };
        let case = Case {
            public_urls: &["https://public.example:444/v1/hooks", "  ", "/only/path"],
            ..Case::new(received, &[])
        };
        let found = candidates(&case);
        let authorities = [
            "public.example:444",
            "internal:8080",
            "hooks.example.com",
            "hooks.example.com:8443",
            "orig.example",
        ];
        assert_eq!(found.authorities, authorities);
        assert_eq!(found.ports, ["444", "8443"]);
        assert_eq!(found.prefixes, ["/v1/hooks", "/v1", "/only/path", "/only", "/api"]);
        assert_eq!(found.paths, ["/api/hooks?x=1"]);
        assert_eq!(found.urls, ["https://public.example:444/v1/hooks"]);
    }

    #[test]
    fn each_kind_is_bounded() {
        let headers: Vec<_> = (0..100).map(|at| ("host".to_owned(), format!("h{at}"))).collect();
        let received = Received { method: "POST", uri: "/", headers: &headers, body: b"" };
        assert_eq!(candidates(&Case::new(received, &[])).authorities.len(), MAX_OF_A_KIND);
    }
}
