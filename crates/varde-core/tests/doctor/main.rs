//! The doctor, put to the test: each mistake that it knows is made on random requests by code that shares
//! nothing with it, and it has to name it. A wrong secret it must never explain.
#![expect(clippy::unwrap_used, reason = "a test that can't make its request fails")]

mod world;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use varde_core::signature::doctor::{Mistake, Scheme};

use world::{Mix, SIGNED_MS, Style, World, ascii, dotnet, html_safe, php, plain, slashes, worlds, written};

const V1: Scheme = Scheme::HubspotV1;
const V2: Scheme = Scheme::HubspotV2;
const V3: Scheme = Scheme::HubspotV3;
const SW: Scheme = Scheme::StandardWebhooks;
const GH: Scheme = Scheme::Github;
const SHOP: Scheme = Scheme::Shopify;

/// Where a mistake's name has to turn up: in an explanation, or among what comes to the same bytes with this
/// request. Every explanation reproduces the signature, so its bytes are the ones that were signed.
fn names(world: &World, codes: &[&str]) -> TestCaseResult {
    let diagnosis = world.diagnosis();
    let named = |finding: &varde_core::signature::doctor::Finding| {
        codes.iter().all(|code| finding.mistakes.iter().chain(&finding.also).any(|it| it.code() == *code))
    };
    let found: Vec<Vec<&str>> = diagnosis
        .findings
        .iter()
        .map(|finding| finding.mistakes.iter().chain(&finding.also).map(|it| it.code()).collect())
        .collect();
    prop_assert!(diagnosis.findings.iter().any(named), "{:?} not in {:?}", codes, found);
    // The likeliest explanation needs no more mistakes than were made.
    prop_assert!(diagnosis.findings[0].mistakes.len() <= codes.len(), "{:?}", found);
    Ok(())
}

/// One property for each mistake: `code [schemes] |world| change;`. A change that comes to nothing with some
/// request (no space to write as `+`) returns false.
macro_rules! mistakes {
    ($($code:ident [$($scheme:ident),+] $make:expr;)*) => {
        const MADE: &[&str] = &[$(stringify!($code)),*];
        $(
            #[test]
            fn $code() {
                let make: Make = $make;
                for scheme in [$($scheme),+] {
                    proptest!(ProptestConfig::with_cases(8), |(world in worlds(scheme))| {
                        let mut made = world;
                        make(&mut made);
                        names(&made, &[stringify!($code)])?;
                    });
                }
            }
        )*
    };
}

fn seconds() -> u64 {
    SIGNED_MS / 1_000
}

fn sent_url(world: &mut World, change: impl Fn(&str) -> String) {
    world.sent.url = change(&world.sent.url);
}

fn set_url(world: &mut World, got: &str, sent: &str) {
    got.clone_into(&mut world.got.url);
    sent.clone_into(&mut world.sent.url);
}

fn header(world: &mut World, name: &str, value: &str) {
    world.got.headers.push((name.to_owned(), value.to_owned()));
}

fn sent_key(world: &mut World, change: impl Fn(&str) -> Vec<u8>) {
    world.key = Some(change(&world.sent.secrets[0]));
}

fn got_secret(world: &mut World, change: impl Fn(&str) -> String) {
    world.got.secrets = vec![change(&world.got.secrets[0])];
}

fn sent_json(world: &mut World, style: Style) {
    world.sent.body = written(&world.json, style).into_bytes();
}

fn text(world: &World) -> String {
    String::from_utf8(world.sent.body.clone()).unwrap()
}

fn utf8(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

const PLAIN: Style = Style { spaced: false, sorted: false, letter: plain };
const SPACED: Style = Style { spaced: true, ..PLAIN };
const PYTHON: Style = Style { letter: ascii, ..SPACED };

mistakes! {
    timestamp_stale [V3, SW] |w| w.got.now = SIGNED_MS + 600_000;
    timestamp_ahead [SW] |w| w.got.now = SIGNED_MS - 600_000;
    timestamp_unit [V3] |w| w.both(|it| it.timestamp = Some(seconds().to_string()));
    timestamp_header_missing [V3] |w| { w.got.timestamp = None; w.sent.timestamp = None; };
    timestamp_in_seconds [V3] |w| w.sent.timestamp = Some(seconds().to_string());
    timestamp_in_milliseconds [SW] |w| w.sent.timestamp = Some(format!("{}000", seconds()));
    timestamp_as_float [V3] |w| w.sent.timestamp = Some(format!("{:?}", SIGNED_MS as f64 / 1_000.0));
    timestamp_in_iso [V3] |w| w.sent.timestamp = Some("2026-01-02T03:04:05.678Z".to_owned());
    timestamp_rounded [V3] |w| w.sent.timestamp = Some(format!("{}000", seconds()));
    timestamp_left_out [V3] |w| w.sent.timestamp = None;
    timestamp_other_header [V3] |w| { header(w, "X-Timestamp", "1767323040000"); w.sent.timestamp = Some("1767323040000".to_owned()); };
    timestamp_first [V3] |w| { let m = w.message(); w.message = Some([&m[m.len() - 13..], &m[..m.len() - 13]].concat()); };

    version_header [V2] |w| w.got.version = Some("v1");
    made_as_v1 [V2, V3] |w| w.made_as = V1;
    made_as_v2 [V1, V3] |w| w.made_as = V2;
    made_as_v3 [V1, V2] |w| w.made_as = V3;
    made_as_standard_webhooks [V2, V3] |w| { w.made_as = SW; w.sent.timestamp = Some(seconds().to_string()); };
    made_as_body_hmac [V2, V3] |w| w.made_as = GH;
    hmac_for_hash [V1, V2] |w| w.mix = Some(Mix::Hmac);
    hash_for_hmac [V3, SW, GH] |w| w.mix = Some(Mix::SecretFirst);
    secret_at_end [V1, V2] |w| w.mix = Some(Mix::SecretLast);
    secret_left_out [V2, V3] |w| w.mix = Some(Mix::NoSecret);
    secret_in_message [V3] |w| w.message = Some([w.key(), w.message()].concat());
    key_and_message_swapped [V3, GH] |w| w.mix = Some(Mix::Swapped);
    parts_joined [V2] |w| w.message = Some([w.sent.method.as_bytes(), b"\n", w.sent.url.as_bytes(), b"\n", &w.sent.body].concat());
    id_left_out [SW] |w| w.message = Some(w.message()[w.sent.id.len() + 1..].to_vec());
    id_full_stop [SW] |w| w.both(|it| it.id.push_str(".1"));

    signature_hex [V3, SHOP] |w| w.written = Some(|digest| hex::encode(digest));
    signature_base64 [V1, V2] |w| w.written = Some(|digest| STANDARD.encode(digest));
    signature_base64url [V3] |w| {
        // Some body gives a signature with a letter that the alphabets don't share.
        while !STANDARD.encode(w.digest()).contains(['+', '/']) { w.both(|it| it.body.push(b' ')); }
        w.written = Some(|digest| URL_SAFE.encode(digest));
    };
    signature_unpadded [V3] |w| w.written = Some(|digest| STANDARD.encode(digest).trim_end_matches('=').to_owned());
    signature_upper_hex [V1, V2] |w| {
        while hex::encode(w.digest()).bytes().all(|byte| byte.is_ascii_digit()) { w.both(|it| it.body.push(b' ')); }
        w.written = Some(|digest| hex::encode_upper(digest));
    };
    signature_hex_in_base64 [V3] |w| w.written = Some(|digest| STANDARD.encode(hex::encode(digest)));
    signature_prefix_missing [SW] |w| w.written = Some(|digest| STANDARD.encode(digest));
    signature_prefix_added [V3] |w| w.written = Some(|digest| format!("sha256={}", STANDARD.encode(digest)));
    signature_wrapped [V3] |w| w.written = Some(|digest| format!("\"{}\" ", STANDARD.encode(digest)));
    signature_percent_encoded [V3] |w| w.written = Some(|digest| STANDARD.encode(digest).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    signature_plus_lost [V3] |w| {
        while !STANDARD.encode(w.digest()).contains('+') { w.both(|it| it.body.push(b' ')); }
        w.written = Some(|digest| STANDARD.encode(digest).replace('+', " "));
    };

    secret_other [V2, V3, SW] |w| { let right = w.got.secrets[0].clone(); w.got.secrets = vec![format!("whsec_{}", STANDARD.encode([7; 32])), right]; };
    secret_previous [V2, V3, SW] |w| { w.got.previous = w.got.secrets.clone(); w.got.secrets = vec![format!("whsec_{}", STANDARD.encode([7; 32]))]; };
    secret_trimmed [V2, V3, SW, GH] |w| got_secret(w, |secret| format!(" {secret}\n"));
    secret_newline_added [V1, V3, GH] |w| sent_key(w, |secret| utf8(&format!("{secret}\n")));
    secret_space_added [V3] |w| sent_key(w, |secret| utf8(&format!("{secret} ")));
    secret_unquoted [V3, SW] |w| got_secret(w, |secret| format!("\"{secret}\""));
    secret_quoted [V3] |w| sent_key(w, |secret| utf8(&format!("\"{secret}\"")));
    secret_assignment [V3] |w| got_secret(w, |secret| format!("WEBHOOK_SECRET={secret}"));
    secret_invisible [V3, SW] |w| got_secret(w, |secret| format!("{}\u{200b}{}", &secret[..9], &secret[9..]));
    secret_case [V3] |w| sent_key(w, |secret| utf8(&secret.to_lowercase()));
    secret_empty [V3, V1] |w| sent_key(w, |_| Vec::new());
    secret_undefined [V3, V1] |w| sent_key(w, |_| utf8("undefined"));
    secret_decoded [V3, GH] |w| sent_key(w, |secret| STANDARD.decode(secret).unwrap());
    secret_encoded [V3] |w| sent_key(w, |secret| utf8(&STANDARD.encode(secret)));
    secret_not_decoded [SW] |w| sent_key(w, |secret| utf8(&secret[6..]));
    secret_prefix_kept [SW] |w| sent_key(w, utf8);
    secret_prefix_decoded [SW] |w| sent_key(w, |secret| URL_SAFE_NO_PAD.decode(secret.replace('+', "-").replace('/', "_").trim_end_matches('=')).unwrap_or_else(|_| {
        // A length that no decoder takes whole: the one that skips `_` does.
        let skipped = secret.replace('_', "");
        base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)).decode(skipped.trim_end_matches('=')).unwrap()
    }));
    secret_prefix_cut [V3] |w| { got_secret(w, |secret| format!("whsec_{secret}")); };
    secret_prefix_added [V3] |w| sent_key(w, |secret| utf8(&format!("whsec_{secret}")));
    secret_short [SW] |w| w.both(|it| it.secrets = vec![format!("whsec_{}", STANDARD.encode([7; 12]))]);

    method_case [V2, V3] |w| w.sent.method = w.sent.method.to_lowercase();
    method_other [V2, V3] |w| w.sent.method = "GET".to_owned();
    method_left_out [V2, V3] |w| w.sent.method.clear();

    url_scheme [V2, V3] |w| w.got.url = w.got.url.replace("https:", "http:");
    url_host [V2, V3] |w| { header(w, "X-Forwarded-Host", "public.example"); let path = w.got.url.find(".example").unwrap() + 8; w.sent.url = format!("https://public.example{}", &w.sent.url[path..]); };
    url_host_case [V2] |w| w.got.url = w.got.url.replacen(".example", ".Example", 1);
    url_www [V2, V3] |w| sent_url(w, |url| url.replace("https://", "https://www."));
    url_port_added [V2, V3] |w| sent_url(w, |url| url.replace(".example", ".example:443"));
    url_port_removed [V2, V3] |w| w.got.url = w.got.url.replace(".example", ".example:8080");
    url_port_other [V2, V3] |w| { header(w, "X-Forwarded-Port", "8443"); w.got.url = w.got.url.replace(".example", ".example:8080"); sent_url(w, |url| url.replace(".example", ".example:8443")); };
    url_slash_added [V2, V3] |w| sent_url(w, |url| url.replace('?', "/?"));
    url_slash_removed [V2, V3] |w| w.got.url = w.got.url.replace('?', "/?");
    url_prefix_added [V2, V3] |w| { header(w, "X-Forwarded-Prefix", "/api"); sent_url(w, |url| url.replace(".example/", ".example/api/")); };
    url_prefix_removed [V2, V3] |w| w.got.url = w.got.url.replace(".example/", ".example/svc/");
    url_path_other [V2, V3] |w| { header(w, "X-Original-URI", "/public/hook?x=1"); let end = w.got.url.find(".example").unwrap() + 8; w.sent.url = format!("{}/public/hook?x=1", &w.got.url[..end]); };
    url_other [V2, V3] |w| { w.got.public_urls = vec!["https://public.example/in?k=1".to_owned()]; w.sent.url = "https://public.example/in?k=1".to_owned(); };
    url_slashes_merged [V2, V3] |w| w.got.url = w.got.url.replacen(".example/", ".example//", 1);
    url_lower_case [V2] |w| sent_url(w, str::to_lowercase);
    url_path_only [V2, V3] |w| sent_url(w, |url| url[url.find(".example").unwrap() + 8..].to_owned());
    url_incomplete [V2, V3] |w| { let end = w.got.url.find(".example").unwrap() + 8; let host = w.got.url[8..end].to_owned(); header(w, "Host", &host); w.got.url = w.got.url[end..].to_owned(); };
    url_without_scheme [V2, V3] |w| sent_url(w, |url| url.replace("https://", ""));
    url_left_out [V2, V3] |w| w.sent.url.clear();
    url_fragment [V2, V3] |w| w.got.url.push_str("#top");
    url_query_dropped [V2, V3] |w| sent_url(w, |url| url[..url.find('?').unwrap()].to_owned());
    url_query_sorted [V2, V3] |w| sent_url(w, |url| {
        let (path, query) = url.split_once('?').unwrap();
        let mut pairs: Vec<&str> = query.split('&').collect();
        pairs.sort_unstable();
        format!("{path}?{}", pairs.join("&"))
    });
    url_query_reordered [V2, V3] |w| set_url(w, "https://a.example/x?c=1&a=2&b=3", "https://a.example/x?a=2&c=1&b=3");
    url_parameter_dropped [V2, V3] |w| set_url(w, "https://a.example/x?c=1&a=2&b=3", "https://a.example/x?c=1&b=3");
    url_question_mark [V2, V3] |w| set_url(w, "https://a.example/x", "https://a.example/x?");
    url_space_as_plus [V2, V3] |w| sent_url(w, |url| url.replace("%20", "+"));
    url_space_as_percent20 [V2, V3] |w| w.got.url = w.got.url.replace("%20", "+");
    url_query_reencoded [V2] |w| set_url(w, "https://a.example/x?m=a@b.example&n=(1)", "https://a.example/x?m=a%40b.example&n=%281%29");
    url_query_decoded [V2, V3] |w| sent_url(w, |url| url.replace("%20", " ").replace("%3A", ":").replace("%C3%B8", "ø").replace("%2F", "/"));
    url_decoded [V2, V3] |w| set_url(w, "https://a.example/a%20b?c=d%20e", "https://a.example/a b?c=d e");
    url_encoded [V2, V3] |w| set_url(w, "https://a.example/a b/ü?c=d", "https://a.example/a%20b/%C3%BC?c=d");
    url_escaped_twice [V2, V3] |w| sent_url(w, |url| url.replace('%', "%25"));
    url_unescaped_once [V2, V3] |w| w.got.url = w.got.url.replace('%', "%25");
    url_html_escaped [V2, V3] |w| sent_url(w, |url| url.replace('&', "&amp;"));
    url_escapes_upper [V2, V3] |w| w.got.url = w.got.url.replace("%C3%B8", "%c3%b8").replace("%3A", "%3a").replace("%2F", "%2f");
    url_escapes_lower [V2, V3] |w| sent_url(w, |url| url.replace("%C3%B8", "%c3%b8").replace("%3A", "%3a").replace("%2F", "%2f"));
    v3_escapes_kept [V3] |w| w.signed_url = Some(w.sent.url.clone());
    v3_escapes_decoded [V2] |w| sent_url(w, |url| url.replace("%3A", ":").replace("%2F", "/"));

    body_json_compact [V1, V2, V3, SW, GH, SHOP] |w| w.got.body = written(&w.json, SPACED).into_bytes();
    body_json_javascript [V3, SW] |w| w.bodies("{\"b\": 1.0, \"2\": \"é\", \"1\": [ ]}", "{\"1\":[],\"2\":\"é\",\"b\":1}");
    body_json_python [V3, SW, GH] |w| sent_json(w, PYTHON);
    body_json_spaced [V3, SW] |w| sent_json(w, SPACED);
    body_json_ascii [V3, SW] |w| sent_json(w, Style { letter: ascii, ..PLAIN });
    body_json_php [V3, SW] |w| sent_json(w, Style { letter: php, ..PLAIN });
    body_json_slashes [V3, SW] |w| sent_json(w, Style { letter: slashes, ..PLAIN });
    body_json_sorted [V3, SW] |w| sent_json(w, Style { sorted: true, ..PLAIN });
    body_json_go [V3, SW] |w| sent_json(w, Style { sorted: true, letter: html_safe, ..PLAIN });
    body_json_html_safe [V3, SW] |w| sent_json(w, Style { letter: html_safe, ..PLAIN });
    body_json_dotnet [V3, SW] |w| sent_json(w, Style { letter: dotnet, ..PLAIN });
    body_json_indented [V3, SW] |w| w.sent.body = serde_json::to_vec_pretty(&w.json).unwrap();
    body_json_string [V3, SW] |w| w.sent.body = serde_json::to_vec(&text(w)).unwrap();
    body_json_string_opened [V3, SW] |w| w.got.body = serde_json::to_vec(&text(w)).unwrap();
    body_object_object [V3, SW] |w| w.sent.body = utf8("[object Object]");
    body_python_dict [V3, SW] |w| w.bodies("{\"a\": true, \"b\": [null, 1]}", "{'a': True, 'b': [None, 1]}");
    body_python_bytes [V3, SW] |w| w.bodies("{\"a\":1}\n", "b'{\"a\":1}\\n'");
    body_left_out [V2, V3, SW] |w| w.sent.body.clear();
    body_placeholder [V2, V3, SW] |w| w.bodies("", "{}");
    body_crlf_to_lf [V3, SW, GH] |w| { let t = text(w); w.bodies(format!("{t}\r\n{t}"), format!("{t}\n{t}")); };
    body_lf_to_crlf [V3, SW, GH] |w| { let t = text(w); w.bodies(format!("{t}\n{t}"), format!("{t}\r\n{t}")); };
    body_newline_added [V1, V2, V3, SW, GH] |w| w.sent.body.push(b'\n');
    body_newline_removed [V1, V2, V3, SW, GH] |w| w.got.body.push(b'\n');
    body_trimmed [V3, SW] |w| { let t = text(w); w.got.body = utf8(&format!(" \n{t}\t ")); };
    body_bom_added [V3, SW] |w| w.sent.body.splice(..0, *b"\xef\xbb\xbf").for_each(drop);
    body_bom_removed [V3, SW] |w| w.got.body.splice(..0, *b"\xef\xbb\xbf").for_each(drop);
    body_latin1 [V3, SW] |w| w.bodies("{\"n\":\"Jørgen\"}", b"{\"n\":\"J\xf8rgen\"}".to_vec());
    body_windows1252 [V3, SW] |w| w.bodies("{\"n\":\"5 €\"}", b"{\"n\":\"5 \x80\"}".to_vec());
    body_double_encoded [V3, SW] |w| w.bodies("{\"n\":\"Jørgen\"}", "{\"n\":\"JÃ¸rgen\"}");
    body_double_encoding_undone [V3, SW] |w| w.bodies("{\"n\":\"JÃ¸rgen\"}", "{\"n\":\"Jørgen\"}");
    body_replacement_characters [V3, SW] |w| w.bodies(b"J\xf8rgen".to_vec(), "J\u{fffd}rgen");
    body_ascii [V3, SW] |w| w.bodies("{\"n\":\"Jørgen\"}", "{\"n\":\"J?rgen\"}");
    body_utf16 [V3, SW] |w| { let t = text(w); w.sent.body = t.encode_utf16().flat_map(u16::to_le_bytes).collect(); };
    body_base64 [V3, SW] |w| w.sent.body = utf8(&STANDARD.encode(&w.sent.body));
    body_base64_decoded [V3, SW] |w| w.got.body = utf8(&STANDARD.encode(&w.got.body));
    body_form_reencoded [V3, SW] |w| w.bodies("a=b%20c&d=(e)", "a=b+c&d=%28e%29");
}

/// No mistake is known that nothing here makes.
#[test]
fn every_known_mistake_is_made() {
    let known: BTreeSet<&str> = Mistake::ALL.iter().map(|mistake| mistake.code()).collect();
    let made: BTreeSet<&str> = MADE.iter().copied().collect();
    assert_eq!(made, known);
    assert!(made.len() >= 25);
}

/// Makes mistakes.
type Make = fn(&mut World);

/// Two at once, as they are met.
type Pair = (Scheme, [&'static str; 2], Make);

const PAIRS: &[Pair] = &[
    (V3, ["url_scheme", "body_json_javascript"], |w| {
        w.bodies("{\"b\": 1, \"2\": 2}", "{\"2\":2,\"b\":1}");
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V2, ["url_scheme", "url_port_removed"], |w| {
        w.got.url = w.got.url.replace("https:", "http:").replace(".example", ".example:3000");
    }),
    (V3, ["url_scheme", "url_host"], |w| {
        header(w, "X-Forwarded-Host", "public.example");
        let path = w.got.url.find(".example").unwrap() + 8;
        w.sent.url = format!("https://public.example{}", &w.sent.url[path..]);
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "url_prefix_added"], |w| {
        header(w, "X-Forwarded-Prefix", "/api");
        sent_url(w, |url| url.replace(".example/", ".example/api/"));
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V2, ["url_scheme", "url_slash_added"], |w| {
        sent_url(w, |url| url.replace('?', "/?"));
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "url_query_dropped"], |w| {
        sent_url(w, |url| url[..url.find('?').unwrap()].to_owned());
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "url_space_as_plus"], |w| {
        sent_url(w, |url| url.replace("%20", "+"));
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "v3_escapes_kept"], |w| {
        w.signed_url = Some(w.sent.url.clone());
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "timestamp_in_seconds"], |w| {
        w.sent.timestamp = Some(seconds().to_string());
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "secret_trimmed"], |w| {
        got_secret(w, |secret| format!("{secret}\n"));
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["url_scheme", "secret_previous"], |w| {
        w.got.previous = w.got.secrets.clone();
        w.got.secrets = vec!["another".to_owned()];
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V3, ["made_as_v2", "url_scheme"], |w| {
        w.made_as = V2;
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V2, ["url_path_only", "body_json_compact"], |w| {
        sent_url(w, |url| url[url.find(".example").unwrap() + 8..].to_owned());
        w.got.body = written(&w.json, SPACED).into_bytes();
    }),
    (V2, ["hmac_for_hash", "url_scheme"], |w| {
        w.mix = Some(Mix::Hmac);
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (V2, ["hmac_for_hash", "signature_base64"], |w| {
        w.mix = Some(Mix::Hmac);
        w.written = Some(|digest| STANDARD.encode(digest));
    }),
    (V3, ["body_json_python", "signature_hex"], |w| {
        sent_json(w, PYTHON);
        w.written = Some(|digest| hex::encode(digest));
    }),
    (V3, ["timestamp_in_seconds", "body_json_compact"], |w| {
        w.sent.timestamp = Some(seconds().to_string());
        w.got.body = written(&w.json, SPACED).into_bytes();
    }),
    (V3, ["url_scheme", "timestamp_stale"], |w| {
        w.got.now = SIGNED_MS + 600_000;
        w.got.url = w.got.url.replace("https:", "http:");
    }),
    (SW, ["secret_not_decoded", "body_json_compact"], |w| {
        sent_key(w, |secret| utf8(&secret[6..]));
        w.got.body = written(&w.json, SPACED).into_bytes();
    }),
    (SW, ["secret_prefix_kept", "body_newline_removed"], |w| {
        sent_key(w, utf8);
        w.got.body.push(b'\n');
    }),
    (SW, ["timestamp_in_milliseconds", "body_json_python"], |w| {
        w.sent.timestamp = Some(format!("{}000", seconds()));
        sent_json(w, PYTHON);
    }),
    (GH, ["secret_trimmed", "body_newline_added"], |w| {
        got_secret(w, |secret| format!("{secret}\n"));
        w.sent.body.push(b'\n');
    }),
    (GH, ["body_crlf_to_lf", "body_newline_removed"], |w| w.bodies("a\r\nb\r\n", "a\nb")),
    (SHOP, ["signature_hex", "body_json_php"], |w| {
        sent_json(w, Style { letter: php, ..PLAIN });
        w.written = Some(|digest| hex::encode(digest));
    }),
];

#[test]
fn common_pairs() {
    assert!(PAIRS.len() >= 10);
    for (scheme, codes, make) in PAIRS {
        proptest!(ProptestConfig::with_cases(4), |(world in worlds(*scheme))| {
            let mut made = world;
            make(&mut made);
            names(&made, codes)?;
        });
    }
}

/// Also the unlikely mistakes are found in a body of 100 KB, within the bound.
#[test]
fn a_large_body_is_searched_for_each_single_mistake() {
    use varde_core::signature::doctor::QUICK_BYTES;
    let unlikely: &[(&str, Make)] = &[
        ("url_www", |w| sent_url(w, |url| url.replace("https://", "https://www."))),
        ("secret_encoded", |w| sent_key(w, |secret| utf8(&STANDARD.encode(secret)))),
        ("body_base64", |w| w.sent.body = utf8(&STANDARD.encode(&w.sent.body))),
        ("url_parameter_dropped", |w| {
            sent_url(w, |url| url.split_once('&').unwrap().0.to_owned() + "&a=J%C3%B8r%2Fn");
        }),
    ];
    proptest!(ProptestConfig::with_cases(1), |(world in worlds(V3))| {
        for &(code, make) in unlikely {
            let mut made = world.clone();
            let body = format!("[{}0]", "{\"name\": \"J\u{f8}rgen\"}, ".repeat(5_000)).into_bytes();
            prop_assert!(body.len() > 90_000);
            made.both(|it| it.body.clone_from(&body));
            make(&mut made);
            names(&made, &[code])?;
            prop_assert!(made.diagnosis().search.hashed_bytes <= QUICK_BYTES);
        }
    });
}

/// What is right needs no explanation.
#[test]
fn a_right_signature_is_valid() {
    for &scheme in Scheme::ALL {
        proptest!(ProptestConfig::with_cases(16), |(world in worlds(scheme))| {
            let diagnosis = world.diagnosis();
            prop_assert!(diagnosis.findings.is_empty() && diagnosis.next_steps.is_empty(), "{:?}", diagnosis);
        });
    }
}

#[test]
fn a_wrong_secret_is_never_explained() {
    for &scheme in Scheme::ALL {
        proptest!(ProptestConfig::with_cases(24), |(world in worlds(scheme), key in any::<[u8; 32]>())| {
            let mut made = world;
            let secret = STANDARD.encode(key);
            made.got.secrets = vec![if scheme == SW { format!("whsec_{secret}") } else { secret }];
            let diagnosis = made.diagnosis();
            prop_assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
            prop_assert!(diagnosis.next_steps.iter().any(|step| step.code == "wrong_secret"));
        });
    }
}

/// The same with a mistake beside it: two wrongs don't make a finding.
#[test]
fn a_wrong_secret_beside_a_mistake_is_never_explained() {
    for (scheme, _, make) in PAIRS {
        proptest!(ProptestConfig::with_cases(2), |(world in worlds(*scheme), key in any::<[u8; 32]>())| {
            let mut made = world;
            make(&mut made);
            made.got.previous.clear();
            let secret = STANDARD.encode(key);
            made.got.secrets = vec![if *scheme == SW { format!("whsec_{secret}") } else { secret }];
            let diagnosis = made.diagnosis();
            prop_assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
        });
    }
}
