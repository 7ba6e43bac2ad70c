//! URLs in their parts, as they are written.

/// A URL in its parts, with nothing normalised: joined they are the text again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parts {
    /// Without `://`; `None` for a path alone.
    pub(super) scheme: Option<String>,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) fragment: Option<String>,
}

impl Parts {
    pub(super) fn parse(text: &str) -> Self {
        let (text, fragment) = cut(text, '#');
        let (text, query) = cut(text, '?');
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => (Some(scheme.to_owned()), rest),
            _ => (None, text),
        };
        let path_at = if scheme.is_some() { rest.find('/').unwrap_or(rest.len()) } else { 0 };
        let (authority, path) = rest.split_at(path_at);
        Self { scheme, authority: authority.to_owned(), path: path.to_owned(), query, fragment }
    }

    pub(super) fn host(&self) -> &str {
        let end = self.port().map_or(self.authority.len(), |port| self.authority.len() - port.len() - 1);
        self.authority.get(..end).unwrap_or_default()
    }

    pub(super) fn port(&self) -> Option<&str> {
        let (host, port) = self.authority.rsplit_once(':')?;
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        (is_port && (!host.contains(':') || host.ends_with(']'))).then_some(port)
    }

    /// Path and query, as in a request line.
    pub(super) fn target(&self) -> String {
        let mut text = self.path.clone();
        for (mark, part) in [('?', &self.query), ('#', &self.fragment)] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }

    pub(super) fn text(&self) -> String {
        match &self.scheme {
            Some(scheme) => format!("{scheme}://{}{}", self.authority, self.target()),
            None => self.target(),
        }
    }
}

fn cut(text: &str, mark: char) -> (&str, Option<String>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after.to_owned())),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_come_together_again() {
        for text in [
            "https://user@a.example:8443/p/q?x=1?&y#f#g",
            "http://[::1]:80",
            "https://a.example?x",
            "/path?u=http://b.example/",
            "//a/b",
            "no scheme",
            "",
            "://",
            "?",
            "#",
        ] {
            assert_eq!(Parts::parse(text).text(), text);
        }
        let parts = Parts::parse("https://[::1]:8443/p");
        assert_eq!((parts.host(), parts.port()), ("[::1]", Some("8443")));
        assert_eq!(Parts::parse("https://[::1]/p").port(), None);
        assert_eq!(Parts::parse("https://a.example:/p").port(), None);
    }

    proptest! {
        #[test]
        fn parts_come_together(text in "[a-z:/?#@.%\\[\\] ø]{0,30}") {
            prop_assert_eq!(Parts::parse(&text).text(), text);
        }
    }
}
