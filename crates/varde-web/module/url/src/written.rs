//! Paths and queries as the URL standard writes them.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The query percent-encode set of `http` and `https`.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');
/// The path percent-encode set.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// A query with what can't be in one percent-encoded.
pub fn encoded_query(query: &str) -> String {
    utf8_percent_encode(query, QUERY).to_string()
}

/// A path without `.` and `..`, and with what can't be in one percent-encoded.
pub fn normalised_path(path: &str) -> String {
    let path = path.strip_prefix(['/', '\\']).unwrap_or(path);
    let mut kept: Vec<String> = Vec::new();
    let mut segments = path.split(['/', '\\']).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        // A dot may be written as an escape.
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            ".." => drop(kept.pop()),
            "." => {}
            _ => {
                kept.push(utf8_percent_encode(segment, PATH).to_string());
                continue;
            }
        }
        if last {
            kept.push(String::new());
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{encoded_query, normalised_path};

    #[test]
    fn writes_paths_and_queries_as_the_standard_says() {
        for (path, written) in [
            ("", "/"),
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("//a", "//a"),
            ("/a/./b/../c", "/a/c"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/.%2E/%2e", "/"),
            ("/a|b^ {é}?", "/a|b%5E%20%7B%C3%A9%7D%3F"),
            ("/%zz%2F", "/%zz%2F"),
            ("/a\\b", "/a/b"),
        ] {
            assert_eq!(normalised_path(path), written, "{path}");
        }
        assert_eq!(encoded_query("a b'\"<>|^`{}?é"), "a%20b%27%22%3C%3E|^`{}?%C3%A9");
    }
}
