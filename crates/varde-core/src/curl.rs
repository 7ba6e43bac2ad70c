//! A request as a curl command, to be tried in a shell.
//!
//! What needs a secret is a shell variable, said in a comment above the command: the secret itself
//! (`$SHOP_SECRET`), a signature made with it (`$SHOP_SIGNATURE`), a token it was exchanged for (`$SHOP_TOKEN`). The
//! ending keeps a secret called `path` from being `$PATH`. Everything else is quoted, so that the shell hands
//! it to curl byte for byte.

use core::fmt::Write as _;
use std::borrow::Cow;

use crate::auth::{AttemptStamp, Auth, HubspotVersion, KeyLocation, percent_encoded, stamped};
use crate::request::Request;
use crate::secret::Mask;
use crate::signature::{hubspot, standard_webhooks};
use crate::slug::Slug;

/// Largest body that is an argument of the command: Linux takes 128 KiB in one. A larger one is piped in.
const MAX_ARGUMENT_BYTES: usize = 100 * 1_024;

/// A part of a shell word.
enum Piece<'a> {
    Text(Cow<'a, str>),
    Variable(String),
}

/// What the authentication adds to the command.
#[derive(Default)]
struct Added {
    /// Lines above the command, without their `#`.
    comments: Vec<String>,
    /// Headers with a variable in them: name, what stands before the variable, the variable.
    headers: Vec<(String, String, String)>,
    /// Other arguments: the option, what stands before the variable, the variable.
    options: Vec<(&'static str, String, String)>,
}

/// Writes the command that sends `request` as `auth` and `stamp` would have it. `mask` hides secrets that
/// stand elsewhere in it.
#[must_use]
pub fn command(auth: &Auth, request: &Request, stamp: &AttemptStamp, mask: &Mask) -> String {
    let stamped = stamped(request, stamp);
    let added = Added::by(auth, stamp);
    let mut arguments = vec![format!("curl -X {} {}", request.method, quoted(&mask.apply(&request.url)))];
    if request.url.contains(['[', ']', '{', '}']) {
        arguments.push("--globoff".to_owned());
    }
    for (name, value) in &stamped.headers {
        if !added.headers.iter().any(|(taken, ..)| name.eq_ignore_ascii_case(taken)) {
            arguments.push(format!("-H {}", quoted(&header(name, &mask.apply(value)))));
        }
    }
    for (name, before, variable) in added.headers {
        let pieces = [Piece::Text(format!("{name}: {before}").into()), Piece::Variable(variable)];
        arguments.push(format!("-H {}", word(&pieces)));
    }
    for (option, before, variable) in added.options {
        arguments
            .push(format!("{option} {}", word(&[Piece::Text(before.into()), Piece::Variable(variable)])));
    }
    let body = mask.apply(&request.body);
    let piped = body.len() > MAX_ARGUMENT_BYTES || body.contains('\0');
    if piped {
        arguments.push("--data-binary @-".to_owned());
    } else if !body.is_empty() {
        arguments.push(format!("--data-raw {}", quoted(&body)));
    }
    let mut command: String = added.comments.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "# {line}");
        text
    });
    if piped {
        // A variable or an argument can't hold a zero byte, the output of `printf` can.
        let escaped = body.replace('\\', "\\\\").replace('%', "%%").replace('\0', "\\000");
        let _ = writeln!(command, "printf {} |", quoted(&escaped));
    }
    command + &arguments.join(" \\\n  ")
}

impl Added {
    fn by(auth: &Auth, stamp: &AttemptStamp) -> Self {
        let mut added = Self::default();
        match auth {
            Auth::None => {}
            Auth::HubspotSignature { secret, versions } => added.hubspot(secret, versions, stamp),
            Auth::StandardWebhooks { secret } => {
                let variable = variable(secret, "SIGNATURE");
                added.comments.push(format!(
                    "{variable}: the signature with secret `{secret}` over \"{}.{}.\" and the body: \"v1,\" and \
                     base64 of HMAC-SHA256, or \"v1a,\" and base64 of ed25519",
                    stamp.delivery,
                    stamp.now.as_secs(),
                ));
                added.header(standard_webhooks::SIGNATURE_HEADER, "", variable);
            }
            Auth::ApiKey { location: KeyLocation::Header, name, secret } => {
                let variable = added.secret(secret);
                added.header(name, "", variable);
            }
            Auth::ApiKey { location: KeyLocation::Query, name, secret } => {
                let variable = added.secret(secret);
                // curl encodes what follows the name.
                added.options.push(("--url-query", format!("{}=", percent_encoded(name)), variable));
            }
            Auth::Bearer { secret } => {
                let variable = added.secret(secret);
                added.header("authorization", "Bearer ", variable);
            }
            Auth::Basic { username, secret } => {
                let variable = added.secret(secret);
                added.options.push(("--user", format!("{username}:"), variable));
            }
            Auth::Oauth2ClientCredentials(client) => {
                let variable = variable(&client.secret, "TOKEN");
                added.comments.push(format!(
                    "{variable}: an access token from {} for the client {}, whose password is the secret `{}`",
                    client.token_url, client.client_id, client.secret,
                ));
                added.header("authorization", "Bearer ", variable);
            }
        }
        added
    }

    fn hubspot(&mut self, secret: &Slug, versions: &[HubspotVersion], stamp: &AttemptStamp) {
        for &version in versions {
            let (ending, rule) = match version {
                HubspotVersion::V1 => ("SIGNATURE_V1", "hex of SHA-256 over the secret and the body"),
                HubspotVersion::V2 => {
                    ("SIGNATURE_V2", "hex of SHA-256 over the secret, the method, the URL and the body")
                }
                HubspotVersion::V3 => (
                    "SIGNATURE_V3",
                    "base64 of HMAC-SHA256 with the secret over the method, the URL, the body and the timestamp",
                ),
            };
            let variable = variable(secret, ending);
            self.comments.push(format!("{variable}: {rule} (secret `{secret}`)"));
            self.header(version.header(), "", variable);
            match version {
                HubspotVersion::V1 | HubspotVersion::V2 => {
                    self.fixed(hubspot::VERSION_HEADER, version.as_str());
                }
                HubspotVersion::V3 => self.fixed(hubspot::TIMESTAMP_HEADER, &stamp.now.0.to_string()),
            }
        }
    }

    fn secret(&mut self, secret: &Slug) -> String {
        let variable = variable(secret, "SECRET");
        self.comments.push(format!("{variable}: the secret `{secret}`"));
        variable
    }

    fn header(&mut self, name: &str, before: &str, variable: String) {
        self.headers.push((name.to_owned(), before.to_owned(), variable));
    }

    fn fixed(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned(), String::new()));
    }
}

/// The name of a shell variable: letters, digits and underscores, no digit first.
fn variable(secret: &Slug, ending: &str) -> String {
    let name = secret.as_str().to_ascii_uppercase().replace('-', "_");
    let first = if name.starts_with(|first: char| first.is_ascii_digit()) { "_" } else { "" };
    format!("{first}{name}_{ending}")
}

/// One `-H`: to curl a colon with nothing behind it means "leave this header out".
fn header(name: &str, value: &str) -> String {
    if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") }
}

fn word(pieces: &[Piece<'_>]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => quoted(text),
            Piece::Variable(name) if name.is_empty() => String::new(),
            Piece::Variable(name) => format!("\"${name}\""),
        })
        .collect()
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::ids::DeliveryId;
    use crate::oauth2::ClientCredentials;
    use crate::request::Method;
    use crate::secret::Secret;
    use crate::time::UnixMs;

    const NOW: UnixMs = UnixMs(1_767_323_045_678);

    fn name() -> Slug {
        "shipping-app".parse().unwrap()
    }

    fn request(body: &str) -> Request {
        Request {
            method: Method::Post,
            url: "https://shop.example/orders?src=crm".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_owned(),
        }
    }

    fn stamp() -> AttemptStamp {
        AttemptStamp { delivery: DeliveryId::mint(NOW, 0, 1), number: 1, now: NOW }
    }

    fn written(auth: &Auth, request: &Request) -> String {
        command(auth, request, &stamp(), &Mask::new([]))
    }

    /// What a script prints. It is read from a pipe, since an argument can't be as long as some are.
    fn shell(script: &str) -> Vec<u8> {
        let mut shell = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = shell.stdin.take().unwrap();
        let text = format!("{script}\n");
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = shell.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{script}");
        output.stdout
    }

    /// The arguments that the shell hands to curl, with `values` in its variables, and what it pipes in.
    fn arguments(command: &str, values: &[(&str, &str)]) -> (Vec<String>, Vec<u8>) {
        let set: Vec<String> =
            values.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
        let set = set.concat();
        let curl = r#"curl() {
            for a in "$@"; do printf '%s\0' "$a"; if [ "$last" = --data-binary ]; then cat; fi; last=$a; done
        }"#;
        let output = shell(&format!("{set}{curl}\n{command}"));
        let mark = b"\0--data-binary\0@-\0";
        match output.windows(mark.len()).position(|window| window == mark) {
            Some(at) => (split(&output[..at + mark.len()]), output[at + mark.len()..].to_vec()),
            None => (split(&output), Vec::new()),
        }
    }

    fn split(output: &[u8]) -> Vec<String> {
        let text = String::from_utf8(output.to_vec()).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn command_format_unchanged() {
        let auth =
            Auth::HubspotSignature { secret: name(), versions: vec![HubspotVersion::V2, HubspotVersion::V3] };
        let expected = r#"# SHIPPING_APP_SIGNATURE_V2: hex of SHA-256 over the secret, the method, the URL and the body (secret `shipping-app`)
# SHIPPING_APP_SIGNATURE_V3: base64 of HMAC-SHA256 with the secret over the method, the URL, the body and the timestamp (secret `shipping-app`)
curl -X POST 'https://shop.example/orders?src=crm' \
  -H 'content-type: application/json' \
  -H 'webhook-id: dlv_01kdyak3se0000000000000001' \
  -H 'webhook-timestamp: 1767323045' \
  -H 'varde-attempt: 1' \
  -H 'x-hubspot-signature: '"$SHIPPING_APP_SIGNATURE_V2" \
  -H 'x-hubspot-signature-version: v2' \
  -H 'x-hubspot-signature-v3: '"$SHIPPING_APP_SIGNATURE_V3" \
  -H 'x-hubspot-request-timestamp: 1767323045678' \
  --data-raw '{"ref":"it'\''s"}'"#;
        assert_eq!(written(&auth, &request(r#"{"ref":"it's"}"#)), expected);
    }

    #[test]
    fn what_needs_a_secret_is_a_variable() {
        let key = |location| Auth::ApiKey { location, name: "X Key".to_owned(), secret: name() };
        let oauth2 = Auth::Oauth2ClientCredentials(Box::new(ClientCredentials {
            token_url: "https://auth.example/token".to_owned(),
            client_id: "varde".to_owned(),
            secret: name(),
            scope: None,
        }));
        for (auth, variable, option, expected) in [
            (
                Auth::Bearer { secret: name() },
                "SHIPPING_APP_SECRET",
                "-H",
                "authorization: Bearer it's $HOME",
            ),
            (
                Auth::Basic { username: "o'neil".to_owned(), secret: name() },
                "SHIPPING_APP_SECRET",
                "--user",
                "o'neil:it's $HOME",
            ),
            (key(KeyLocation::Header), "SHIPPING_APP_SECRET", "-H", "X Key: it's $HOME"),
            (key(KeyLocation::Query), "SHIPPING_APP_SECRET", "--url-query", "X%20Key=it's $HOME"),
            (oauth2, "SHIPPING_APP_TOKEN", "-H", "authorization: Bearer it's $HOME"),
            (
                Auth::StandardWebhooks { secret: name() },
                "SHIPPING_APP_SIGNATURE",
                "-H",
                "webhook-signature: it's $HOME",
            ),
        ] {
            let command = written(&auth, &request(""));
            assert!(command.starts_with(&format!("# {variable}: ")), "{command}");
            let (arguments, _) = arguments(&command, &[(variable, "it's $HOME")]);
            let found = arguments.windows(2).any(|pair| pair == [option, expected]);
            assert!(found, "{auth:?}: {arguments:?}");
        }
    }

    #[test]
    fn a_variable_is_none_of_the_shell_s_own() {
        for (secret, expected) in [("path", "PATH_SECRET"), ("1-a", "_1_A_SECRET"), ("a_b", "A_B_SECRET")] {
            assert_eq!(variable(&secret.parse().unwrap(), "SECRET"), expected);
        }
    }

    #[test]
    fn what_the_authentication_sets_is_there_once() {
        let mut request = request("");
        request.headers.push(("Authorization".to_owned(), "mine".to_owned()));
        let command = written(&Auth::Bearer { secret: name() }, &request);
        assert_eq!(command.to_lowercase().matches("authorization: ").count(), 1, "{command}");
    }

    #[test]
    fn secrets_elsewhere_are_masked() {
        let mut request = request("key=hunter2");
        request.url.push_str("&key=hunter2");
        request.headers.push(("x-key".to_owned(), "hunter2".to_owned()));
        let mask = Mask::new([&Secret::new("hunter2").unwrap()]);
        let command = command(&Auth::None, &request, &stamp(), &mask);
        assert_eq!((command.matches("***").count(), command.contains("hunter")), (3, false), "{command}");
    }

    #[test]
    fn curl_s_own_signs_are_disarmed() {
        let mut globbed = request("@/etc/passwd");
        globbed.url = "https://shop.example/{a,b}?x[]=1".to_owned();
        globbed.headers.push(("x-empty".to_owned(), String::new()));
        let (arguments, _) = arguments(&written(&Auth::None, &globbed), &[]);
        assert!(arguments.contains(&"--globoff".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"x-empty;".to_owned()), "{arguments:?}");
        assert_eq!(arguments[arguments.len() - 2..], ["--data-raw", "@/etc/passwd"]);
    }

    #[test]
    fn large_bodies_and_zero_bytes_are_piped() {
        let large = format!("{}'%s\\n$HOME`", "ø".repeat(MAX_ARGUMENT_BYTES));
        for body in ["a\0b\0", "100 %\0\\000\\'", large.as_str()] {
            let (arguments, piped) = arguments(&written(&Auth::None, &request(body)), &[]);
            assert_eq!(arguments.last().map(String::as_str), Some("@-"));
            assert!(piped == body.as_bytes(), "{:?}", String::from_utf8_lossy(&piped[..piped.len().min(80)]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A shell gives every text back as it was.
        #[test]
        fn quoting_survives_a_shell(text in "[^\\x00]{0,60}", signs in r#"['"$`\\!*?~#&|;<>(){}\n\t -]{0,12}"#) {
            let text = format!("{text}{signs}");
            let printed = shell(&format!("printf %s {}", quoted(&text)));
            prop_assert_eq!(String::from_utf8_lossy(&printed), text);
        }

        /// So does the whole command with every part of a request.
        #[test]
        fn curl_gets_what_was_rendered(body in any::<String>(), value in "[ -~ø]{0,30}", path in "[ -~]{0,20}") {
            let mut request = request(&body);
            request.url = url::Url::parse(&format!("https://shop.example/{path}")).unwrap().into();
            request.headers.push(("x-a".to_owned(), value.clone()));
            let (arguments, piped) = arguments(&written(&Auth::None, &request), &[]);
            prop_assert_eq!(&arguments[..3], ["-X", "POST", request.url.as_str()]);
            prop_assert!(arguments.contains(&header("x-a", &value)));
            if body.contains('\0') {
                prop_assert_eq!(piped, body.as_bytes());
            } else if !body.is_empty() {
                prop_assert_eq!(arguments.last(), Some(&body));
            }
        }
    }
}
