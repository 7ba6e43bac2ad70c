//! A raw request (RFC 9112), as servers log it and as browsers show it.

use super::{At, Fault, Pasted, is_token, shortened};

/// Reads a request from `start` on.
pub(super) fn read(text: &str, start: usize) -> Result<Pasted, At> {
    let mut lines = Lines { text, at: start };
    let (at, first) = lines.next().unwrap_or((start, ""));
    let mut request = Pasted::default();
    let mut pseudo = [None, None, None, None];
    let mut target = "";
    if first.starts_with(':') {
        // HTTP/2, as browsers' tools show it: there is no request line.
        lines.at = at;
    } else {
        let words: Vec<&str> = first.split_ascii_whitespace().collect();
        match words[..] {
            [method, url] | [method, url, _] if is_request_line(method, url, words.get(2)) => {
                method.clone_into(&mut request.method);
                target = url;
            }
            _ => return Err((at, Fault::RequestLine { found: shortened(first) })),
        }
    }
    let mut body = text.len();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() {
            body = lines.at;
            break;
        }
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = request.headers.last_mut()
        {
            // A header that goes on in the next line (RFC 9112, section 5.2).
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let wrong = || (at, Fault::HeaderLine { found: shortened(line) });
        if let Some(rest) = line.strip_prefix(':') {
            let (name, value) = rest.split_once(':').ok_or_else(wrong)?;
            let place = [":method", ":scheme", ":authority", ":path"].iter().position(|it| &it[1..] == name);
            pseudo[place.ok_or_else(wrong)?] = Some(value.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        if !is_token(name) {
            return Err(wrong());
        }
        request.headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let [method, scheme, authority, path] = pseudo;
    if request.method.is_empty() {
        method.unwrap_or("GET").clone_into(&mut request.method);
    }
    let target = path.unwrap_or(target);
    let host = authority.or_else(|| request.header("host")).filter(|_| target.starts_with('/'));
    request.url = match host {
        // Which of http and https it was can't be seen; nearly all webhooks are https.
        Some(host) => format!("{}://{host}{target}", scheme.unwrap_or("https")),
        None => target.to_owned(),
    };
    request.body = cut(&text[body..], &request).as_bytes().to_vec();
    Ok(request)
}

fn is_request_line(method: &str, url: &str, version: Option<&&str>) -> bool {
    let is_url = url.starts_with('/') || url.contains("://") || url == "*";
    is_token(method) && is_url && version.is_none_or(|version| version.starts_with("HTTP/"))
}

/// The body without the line ends that copying adds, where the request says how long it is.
fn cut<'a>(body: &'a str, request: &Pasted) -> &'a str {
    let length = request.header("content-length").and_then(|text| text.trim().parse::<usize>().ok());
    match length.and_then(|length| body.split_at_checked(length)) {
        Some((whole, rest)) if rest.bytes().all(|byte| matches!(byte, b'\r' | b'\n')) => whole,
        _ => body,
    }
}

/// The lines of a text with their offsets, without their ends.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        let line = rest.split('\n').next().unwrap_or_default();
        self.at = self.text.len().min(at + line.len() + 1);
        Some((at, line.strip_suffix('\r').unwrap_or(line)))
    }
}
