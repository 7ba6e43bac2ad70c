use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pasted(text: &str) -> Pasted {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fault(text: &str) -> (&'static str, usize, usize) {
    let error = parse(text).unwrap_err();
    (error.fault.code(), error.line, error.column)
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_raw_request() {
    let text =
        "POST /hook?a=1 HTTP/1.1\r\nHost: a.example\r\nX-Long: one\r\n  two\r\nX-Empty:\r\n\r\n{\"a\":1}\n";
    assert_eq!(
        pasted(text),
        Pasted {
            method: "POST".to_owned(),
            url: "https://a.example/hook?a=1".to_owned(),
            headers: headers(&[("Host", "a.example"), ("X-Long", "one two"), ("X-Empty", "")]),
            body: b"{\"a\":1}\n".to_vec(),
        }
    );
}

#[test]
fn where_a_raw_request_went() {
    for (text, method, url) in [
        ("GET http://a.example/x HTTP/1.1\n", "GET", "http://a.example/x"),
        ("GET /x", "GET", "/x"),
        ("\n\n  GET /x HTTP/2\nhost:b.example:8080\n", "GET", "https://b.example:8080/x"),
        (
            ":method: PUT\n:authority: a.example\n:scheme: http\n:path: /x?y\nx: 1\n",
            "PUT",
            "http://a.example/x?y",
        ),
        ("OPTIONS * HTTP/1.1\nHost: a", "OPTIONS", "*"),
    ] {
        let request = pasted(text);
        assert_eq!((request.method.as_str(), request.url.as_str()), (method, url), "{text}");
    }
}

#[test]
fn content_length_tells_where_a_body_ends() {
    let body = |length: &str, body: &str| {
        pasted(&format!("POST /x HTTP/1.1\nContent-Length: {length}\n\n{body}")).body
    };
    assert_eq!(body("2", "{}\r\n\n"), b"{}");
    assert_eq!(body("3", "{}\n\n"), b"{}\n");
    for (length, text) in [("2", "{}x"), ("9", "{}\n"), ("x", "{}\n"), ("1", "é\n")] {
        assert_eq!(body(length, text), text.as_bytes(), "{length} {text:?}");
    }
}

#[test]
fn raw_faults_have_a_place() {
    for (text, expected) in [
        ("", ("nothing_pasted", 1, 1)),
        (" \n\t", ("nothing_pasted", 1, 1)),
        ("hello", ("not_a_request", 1, 1)),
        ("POST hook HTTP/1.1", ("not_a_request", 1, 1)),
        ("POST /x HTTQ/1.1", ("not_a_request", 1, 1)),
        ("POST /x y z", ("not_a_request", 1, 1)),
        ("\nPOST /x HTTP/1.1\nHost: a\n{\"a\": 1}", ("not_a_header", 4, 1)),
        ("POST /x HTTP/1.1\nno header here", ("not_a_header", 2, 1)),
        (":method: GET\n:colour: red", ("not_a_header", 2, 1)),
    ] {
        assert_eq!(fault(text), expected, "{text:?}");
    }
}

#[test]
fn a_curl_command() {
    let text = "$ curl -sS -X PUT 'https://a.example/hook?a=b#f' \\\n  -H \"X-One: \\\"1\\\"\" -H 'X-Two;' \\\r\n  --data-raw $'{\"name\":\"J\\u00f8rgen\\n\"}' --compressed | jq .";
    assert_eq!(
        pasted(text),
        Pasted {
            method: "PUT".to_owned(),
            url: "https://a.example/hook?a=b".to_owned(),
            headers: headers(&[
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("X-One", "\"1\""),
                ("X-Two", ""),
            ]),
            body: "{\"name\":\"Jørgen\n\"}".as_bytes().to_vec(),
        }
    );
}

/// Arguments, and the method, URL, headers and body that they make.
type Case = (&'static str, &'static str, &'static str, Vec<(String, String)>, &'static str);

#[test]
fn what_curl_would_send() {
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let json = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let cases: [Case; 20] = [
        ("a.example", "GET", "http://a.example/", vec![], ""),
        ("https://a.example?x", "GET", "https://a.example/?x", vec![], ""),
        ("--url https://a.example/x", "GET", "https://a.example/x", vec![], ""),
        ("-- https://a.example/x", "GET", "https://a.example/x", vec![], ""),
        ("-I https://a.example/", "HEAD", "https://a.example/", vec![], ""),
        ("https://a.example/?a=1&b=2", "GET", "https://a.example/?a=1&b=2", vec![], ""),
        ("https://a/ -d a=1 -d b=2", "POST", "https://a/", headers(&[form]), "a=1&b=2"),
        ("https://a/ --data-raw @x", "POST", "https://a/", headers(&[form]), "@x"),
        ("https://a/ --data-binary 'a\nb'", "POST", "https://a/", headers(&[form]), "a\nb"),
        ("https://a/ -G -d a=1 -d b=2", "GET", "https://a/?a=1&b=2", vec![], ""),
        ("'https://a/?x' -Gd a=1", "GET", "https://a/?x&a=1", vec![], ""),
        ("https://a/ --json '{' --json '}'", "POST", "https://a/", headers(&json), "{}"),
        (
            "https://a/ -H 'accept: x' --json 1",
            "POST",
            "https://a/",
            headers(&[json[0], ("accept", "x")]),
            "1",
        ),
        ("https://a/ -H Content-Type: -d x", "POST", "https://a/", vec![], "x"),
        (
            "https://a/ -uada:secret",
            "GET",
            "https://a/",
            headers(&[("Authorization", "Basic YWRhOnNlY3JldA==")]),
            "",
        ),
        ("https://a/ --oauth2-bearer t", "GET", "https://a/", vec![], ""),
        ("-kLsXPATCH https://a/", "PATCH", "https://a/", vec![], ""),
        (
            "https://a/ -A me -e you -b a=1 -b c=2",
            "GET",
            "https://a/",
            headers(&[("User-Agent", "me"), ("Referer", "you"), ("Cookie", "a=1; c=2")]),
            "",
        ),
        (
            "https://a/ --data-urlencode 'q=a b&c' --data-urlencode é",
            "POST",
            "https://a/",
            headers(&[form]),
            "q=a%20b%26c&%C3%A9",
        ),
        ("-o /dev/null -w '%{http_code}' --max-time 5 https://a/", "GET", "https://a/", vec![], ""),
    ];
    for (arguments, method, url, headers, body) in cases {
        let request = pasted(&format!("curl {arguments}"));
        let expected = Pasted { method: method.to_owned(), url: url.to_owned(), headers, body: body.into() };
        if arguments.contains("oauth2") {
            assert_eq!(request.headers, self::headers(&[("Authorization", "Bearer t")]));
        } else {
            assert_eq!(request, expected, "{arguments}");
        }
    }
}

#[test]
fn quotes_are_bash_s() {
    for (word, expected) in [
        (r"'a\n'", &br"a\n"[..]),
        (r#""a\n\$b\`\"\\""#, br#"a\n$b`"\"#),
        (r"a\ b\'", b"a b'"),
        (r"'it'\''s'", b"it's"),
        (r#""5$ $5 $""#, b"5$ $5 $"),
        ("\"a\\\nb\"", b"ab"),
        ("a\\\nb", b"ab"),
        (r"$'\x41\101\t\e\'\\'", b"AA\t\x1b'\\"),
        (r"$'\xff\xFe'", b"\xff\xfe"),
        (r"$'\u00e9\U0001f600\ud83d\ude00'", "é😀😀".as_bytes()),
        (r#"$"a""#, b"a"),
        ("''", b""),
    ] {
        assert_eq!(pasted(&format!("curl https://a/ --json {word}")).body, expected, "{word}");
    }
}

#[test]
fn curl_faults_have_a_place() {
    for (text, expected) in [
        ("curl -d 'abc", ("open_quote", 1, 9)),
        ("curl \\\n  -d \"abc", ("open_quote", 2, 6)),
        ("curl -d $'abc", ("open_quote", 1, 9)),
        (r"curl -d $'a\qb'", ("unknown_escape", 1, 12)),
        (r"curl -d $'\ud83d'", ("unknown_escape", 1, 11)),
        ("curl -d \"$TOKEN\"", ("shell_expansion", 1, 10)),
        ("curl -d ${TOKEN}", ("shell_expansion", 1, 9)),
        ("curl -d \"$(date)\"", ("shell_expansion", 1, 10)),
        ("curl -d `date`", ("shell_expansion", 1, 9)),
        ("curl a.example -d @file", ("file_not_here", 1, 16)),
        ("curl a.example --data-urlencode name@file", ("file_not_here", 1, 16)),
        ("curl a.example -T file", ("file_not_here", 1, 16)),
        ("curl a.example -b jar", ("file_not_here", 1, 16)),
        ("curl a.example -F a=b", ("multipart", 1, 16)),
        ("curl a.example --colour red", ("unknown_option", 1, 16)),
        ("curl a.example -X", ("missing_value", 1, 16)),
        ("curl -X POST", ("no_url", 1, 13)),
        ("curl a.example b.example", ("second_request", 1, 16)),
        ("curl a.example --next b.example", ("second_request", 1, 16)),
        ("curl a.example -: b.example", ("second_request", 1, 16)),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn har_entries() {
    let request = json!({
        "method": "POST", "url": "https://a.example/x?y=1",
        "headers": [{"name": ":path", "value": "/x"}, {"name": "X-A", "value": "1"}],
        "postData": {"mimeType": "application/json", "text": "{\"a\": 1}"},
    });
    let expected = Pasted {
        method: "POST".to_owned(),
        url: "https://a.example/x?y=1".to_owned(),
        headers: headers(&[("X-A", "1")]),
        body: b"{\"a\": 1}".to_vec(),
    };
    for value in [
        request.clone(),
        json!({"request": request}),
        json!([{"request": request}]),
        json!({"log": {"version": "1.2", "entries": [{"request": request, "response": {}}, {"request": {}}]}}),
    ] {
        assert_eq!(pasted(&value.to_string()), expected, "{value}");
        assert_eq!(pasted(&format!("\u{feff}\n{value:#}\n")), expected);
    }
    let body = |data| pasted(&json!({"method": "POST", "url": "u", "postData": data}).to_string()).body;
    assert_eq!(body(json!({"text": "/w==", "encoding": "base64"})), b"\xff");
    assert_eq!(
        body(
            json!({"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "b c"}]})
        ),
        b"a=b+c"
    );
}

#[test]
fn har_faults_have_a_place() {
    for (text, expected) in [
        ("{\"a\": 1,\n \"é\": x}", ("malformed_json", 2, 7)),
        ("{}", ("no_har_entry", 1, 1)),
        ("\n []", ("no_har_entry", 2, 2)),
        ("{\"method\": 1, \"url\": \"u\"}", ("not_a_har_entry", 1, 1)),
        ("{\"method\": \"GET\", \"url\": \"u\", \"headers\": {}}", ("not_a_har_entry", 1, 1)),
        (
            "{\"method\": \"GET\", \"url\": \"u\", \"postData\": {\"mimeType\": \"multipart/form-data; boundary=x\"}}",
            ("multipart", 1, 1),
        ),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn pasted_format_unchanged() {
    let text = serde_json::to_string(&pasted("curl https://a/ -H 'X: 1' -d {}")).unwrap();
    assert_eq!(
        text,
        r#"{"method":"POST","url":"https://a/","headers":[["Content-Type","application/x-www-form-urlencoded"],["X","1"]],"body":"{}"}"#
    );
    let text = serde_json::to_string(&pasted(r"curl https://a/ -H Content-Type: -d $'\xff'")).unwrap();
    assert!(text.ends_with(r#""body_base64":"/w=="}"#), "{text}");
}

#[test]
fn errors_are_sentences_with_a_place() {
    let error = parse("curl -d \"$TOKEN\"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`$TOKEN` is known to your shell only: write its value, at line 1, column 10"
    );
    let long = format!("GET /x HTTP/1.1\n\n{}", "x".repeat(MAX_TEXT));
    assert_eq!(fault(&long), ("too_long", 1, 1));
}

/// Requests that every form can write.
fn requests() -> impl Strategy<Value = Pasted> {
    let header = ("x-[a-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?");
    let body = prop_oneof![any::<String>(), "[ -~\n\r\t'\"\\\\$`é]{1,60}"];
    let url = "https://[a-z]{1,8}\\.example(:[1-9][0-9]{1,3})?/[a-zA-Z0-9/%?&=+._~-]{0,30}";
    ("(POST|PUT|PATCH)", url, prop::collection::vec(header, 0..5), body)
        .prop_map(|(method, url, headers, body)| Pasted { method, url, headers, body: body.into_bytes() })
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn double_quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`");
    format!("\"{escaped}\"")
}

fn ansi_quoted(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    let bytes = bytes.concat();
    format!("$'{bytes}'")
}

proptest! {
    #[test]
    fn raw_requests_come_back(request in requests()) {
        let authority = request.url.trim_start_matches("https://").split('/').next().unwrap().to_owned();
        let target = &request.url["https://".len() + authority.len()..];
        let mut request = Pasted { headers: request.headers.clone(), ..request.clone() };
        request.headers.insert(0, ("Host".to_owned(), authority));
        for end in ["\n", "\r\n"] {
            let lines: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}{end}")).collect();
            let lines = lines.concat();
            let mut text = format!("{} {target} HTTP/1.1{end}{lines}{end}", request.method);
            text.push_str(core::str::from_utf8(&request.body).unwrap());
            prop_assert_eq!(&parse(&text).unwrap(), &request);
        }
    }

    #[test]
    fn curl_commands_come_back(request in requests()) {
        let body = core::str::from_utf8(&request.body).unwrap();
        for quoted in [single_quoted, double_quoted, ansi_quoted] {
            let headers: Vec<String> =
                request.headers.iter().map(|(name, value)| format!(" \\\n -H {}", quoted(&format!("{name}: {value}")))).collect();
            let headers = headers.concat();
            let text = format!("curl -X {} {} -H content-type:{headers} --data-raw {}", request.method, quoted(&request.url), quoted(body));
            prop_assert_eq!(&parse(&text).unwrap(), &request, "{}", text);
        }
    }

    #[test]
    fn har_entries_come_back(request in requests()) {
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let text = core::str::from_utf8(&request.body).unwrap();
        let entry = json!({"request": {"method": request.method, "url": request.url, "headers": headers, "postData": {"text": text}}});
        prop_assert_eq!(&parse(&entry.to_string()).unwrap(), &request);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), tail in "[-a-zA-Z '\"$\\\\{}@=:&|;#\n\t`()é]{0,60}") {
        for start in ["", "curl ", "curl a ", "curl -d $'", "{", "POST /x HTTP/1.1\n", ":"] {
            for end in [&text, &tail] {
                if let Err(error) = parse(&format!("{start}{end}")) {
                    prop_assert!(error.line >= 1 && error.column >= 1 && !error.to_string().is_empty());
                }
            }
        }
    }
}
