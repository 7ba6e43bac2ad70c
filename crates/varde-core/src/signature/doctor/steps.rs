//! What to do where nothing explains a signature: what can be seen in the request, then what is likely.

use super::report::{NextStep, Search};
use super::scheme::Scheme;
use super::{Case, parts, written};

/// The steps for a scheme whose signature stays unexplained, most useful first.
pub(super) fn next(
    case: &Case<'_>,
    scheme: Scheme,
    signature: Option<&str>,
    search: Search,
) -> Vec<NextStep> {
    let mut steps = Vec::new();
    let mut add = |code, text: String| steps.push(NextStep { code, text });
    match signature {
        None => add(
            "find_signature",
            format!(
                "The request has no `{}` header: paste the request with all of its headers, or give the signature.",
                scheme.header()
            ),
        ),
        Some(signature) => signature_steps(signature, &mut add),
    }
    if case.secrets.is_empty() {
        add("give_secret", "Give the secret that the sender signs with.".to_owned());
    }
    if let Some(header) = scheme.timestamp_header()
        && case.received.header(header).is_none()
    {
        add(
            "find_timestamp",
            format!(
                "The request has no `{header}` header: without the time that was signed nothing can be checked."
            ),
        );
    }
    body_steps(case, &mut add);
    url_steps(case, scheme, &mut add);
    if search.left_out > 0 {
        add(
            "search_deeper",
            format!(
                "{} combinations were left out because the body is large: search deeper, or find a smaller request that fails.",
                search.left_out
            ),
        );
    }
    if !case.secrets.is_empty() {
        add("wrong_secret", secret_step(scheme));
    }
    add("capture_raw", "Log the request in the receiver before anything parses it: the raw bytes of the body, the method and the full URL. Paste those.".to_owned());
    steps
}

/// The step where a request carries no signature at all.
pub(super) fn no_signature() -> NextStep {
    NextStep {
        code: "find_signature",
        text: "The request carries no signature that is known here: paste it with all of its headers, or give the signature.".to_owned(),
    }
}

fn signature_steps(signature: &str, add: &mut impl FnMut(&'static str, String)) {
    if signature.contains("v1a,") && written::read(signature).is_empty() {
        add("asymmetric_signature", "`v1a,` signatures are made with an ed25519 key: they are checked with the sender's public key (`whpk_…`), and which changed bytes broke one can't be tried out. Look for a body that was parsed and written again.".to_owned());
        return;
    }
    if !written::read(signature).is_empty() {
        return;
    }
    let found = written::decoded_bytes(signature);
    let name = match found {
        Some(20) => " That is the length of SHA-1.",
        Some(48) => " That is the length of SHA-384.",
        Some(64) => " That is the length of SHA-512.",
        Some(1..32) => " A part of it may be missing.",
        _ => "",
    };
    let text = match found {
        Some(bytes) => format!("The signature has {bytes} bytes, SHA-256 gives 32.{name}"),
        None => "The signature is neither hex nor base64: look whether it was cut off or masked.".to_owned(),
    };
    add("read_signature", text);
}

fn body_steps(case: &Case<'_>, add: &mut impl FnMut(&'static str, String)) {
    let body = case.received.body;
    let claimed = case.received.header("content-length").and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(claimed) = claimed
        && claimed != body.len()
    {
        add(
            "compare_length",
            format!(
                "`content-length` says {claimed} bytes, the body has {}: it isn't the body that was sent.",
                body.len()
            ),
        );
    }
    let encoding = case.received.header("content-encoding").unwrap_or("identity").trim();
    if body.starts_with(b"\x1f\x8b") || !encoding.eq_ignore_ascii_case("identity") {
        add(
            "decompress",
            "The body is compressed, or was: try both forms, the bytes on the wire and the unpacked ones."
                .to_owned(),
        );
    }
    if core::str::from_utf8(body).is_ok_and(|text| text.contains('\u{fffd}')) {
        add("find_lost_characters", "The body holds replacement characters (U+FFFD): what stood there is lost, take the raw bytes instead.".to_owned());
    }
}

fn url_steps(case: &Case<'_>, scheme: Scheme, add: &mut impl FnMut(&'static str, String)) {
    if !matches!(scheme, Scheme::HubspotV2 | Scheme::HubspotV3) {
        return;
    }
    let url = parts::Parts::parse(case.received.uri);
    if url.scheme.is_none() {
        add(
            "give_full_url",
            "The URL has no scheme and host: give the full address as the sender calls it.".to_owned(),
        );
    } else if is_internal(url.host()) && case.public_urls.is_empty() {
        add(
            "give_public_url",
            format!("`{}` is an internal name: give the public address that the sender calls.", url.host()),
        );
    }
}

fn is_internal(host: &str) -> bool {
    let private =
        |text: &str| text.parse::<core::net::Ipv4Addr>().is_ok_and(|ip| ip.is_private() || ip.is_loopback());
    !host.contains('.')
        || private(host)
        || [".local", ".internal", ".svc"].iter().any(|end| host.ends_with(end))
}

fn secret_step(scheme: Scheme) -> String {
    match scheme {
        Scheme::HubspotV1 | Scheme::HubspotV2 | Scheme::HubspotV3 => {
            "Most likely the secret is another one. Compare it with the client secret of the HubSpot app that sends: each app has its own, and it isn't the access token."
        }
        Scheme::StandardWebhooks => {
            "Most likely the secret is another one. Compare it with the one of this endpoint at the sender (`whsec_…`): each endpoint has its own."
        }
        Scheme::Github | Scheme::Shopify => {
            "Most likely the secret is another one. Compare it with the one in the sender's settings, letter by letter."
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Received;

    fn codes(
        headers: &[(&str, &str)],
        uri: &str,
        body: &[u8],
        signature: Option<&str>,
        secrets: &[&str],
    ) -> Vec<&'static str> {
        let headers: Vec<_> =
            headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let received = Received { method: "POST", uri, headers: &headers, body };
        let case = Case::new(received, secrets);
        next(&case, Scheme::HubspotV3, signature, Search::default()).iter().map(|step| step.code).collect()
    }

    #[test]
    fn what_can_be_seen_is_said() {
        let time = ("x-hubspot-request-timestamp", "1");
        let uri = "https://a.example/";
        let signature = "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=";
        let usual = ["wrong_secret", "capture_raw"];
        assert_eq!(codes(&[time], uri, b"{}", Some(signature), &["s"]), usual);
        let first =
            |headers: &[(&str, &str)], uri, body, signature| codes(headers, uri, body, signature, &["s"])[0];
        assert_eq!(first(&[time], uri, b"{}", None), "find_signature");
        assert_eq!(first(&[time], uri, b"{}", Some("v1a,abc")), "asymmetric_signature");
        assert_eq!(first(&[time], uri, b"{}", Some(&signature[..20])), "read_signature");
        assert_eq!(first(&[], uri, b"{}", Some(signature)), "find_timestamp");
        assert_eq!(first(&[time, ("Content-Length", "3")], uri, b"{}", Some(signature)), "compare_length");
        assert_eq!(first(&[time, ("Content-Length", "2")], uri, b"{}", Some(signature)), "wrong_secret");
        assert_eq!(first(&[time, ("Content-Encoding", "gzip")], uri, b"{}", Some(signature)), "decompress");
        assert_eq!(first(&[time], uri, b"\x1f\x8b\x08", Some(signature)), "decompress");
        assert_eq!(first(&[time], uri, "J\u{fffd}".as_bytes(), Some(signature)), "find_lost_characters");
        assert_eq!(first(&[time], "/hook", b"{}", Some(signature)), "give_full_url");
        for internal in ["http://localhost:3000/", "http://10.0.0.5/", "http://app/", "http://app.svc/x"] {
            assert_eq!(first(&[time], internal, b"{}", Some(signature)), "give_public_url", "{internal}");
        }
        assert_eq!(codes(&[time], uri, b"{}", Some(signature), &[]), ["give_secret", "capture_raw"]);
    }

    #[test]
    fn other_hashes_are_named_by_their_length() {
        let text = |signature: &str| {
            let headers = [("x-hubspot-request-timestamp".to_owned(), "1".to_owned())];
            let received =
                Received { method: "POST", uri: "https://a.example/", headers: &headers, body: b"" };
            let case = Case::new(received, &["s"]);
            next(&case, Scheme::HubspotV3, Some(signature), Search::default())[0].text.clone()
        };
        assert!(text(&hex::encode([7; 20])).contains("SHA-1."));
        assert!(text(&hex::encode([7; 64])).contains("SHA-512."));
        assert!(text(&hex::encode([7; 31])).contains("missing"));
        assert!(text("******").contains("neither"));
    }

    #[test]
    fn a_bounded_search_says_so() {
        let received = Received { method: "POST", uri: "https://a.example/", headers: &[], body: b"" };
        let case = Case::new(received, &["s"]);
        let search = Search { left_out: 7, ..Search::default() };
        let steps = next(&case, Scheme::HubspotV1, Some("x"), search);
        assert!(steps.iter().any(|step| step.code == "search_deeper" && step.text.starts_with("7 ")));
    }
}
