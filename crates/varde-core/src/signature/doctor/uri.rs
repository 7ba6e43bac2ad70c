//! The URLs that may have been signed instead of the one that was given.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::axis::Axis;
use super::mistake::Mistake;
use super::parts::Parts;
use super::public::Public;
use super::query;
use crate::signature::hubspot::v3_uri;

/// Most pairs of changes that are put together; the likeliest come first.
const MAX_PAIRS: usize = 800;
/// Pairs of changes that are less likely than this together aren't tried.
const MAX_PAIR_COST: u32 = 4;
/// Most parts that are cut off in front of a path.
const MAX_CUT: usize = 3;

/// What a URL parser escapes in paths and queries; `%` stays.
const UNSAFE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|').add(b'^');

/// What happens to the escapes in a URL before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Escapes {
    /// What the scheme says.
    AsTheScheme,
    /// They stay.
    Kept,
    /// Those of HubSpot's v3 are decoded.
    V3,
}

/// A URL that may have been signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) text: String,
    pub(super) escapes: Escapes,
}

/// One change. Changes of different places go together; the order of the variants is that of applying.
#[derive(Debug, Clone)]
enum Edit {
    Whole(Parts),
    Scheme(&'static str),
    Authority(String),
    Port(Option<String>),
    Path(String),
    PathAndQuery(Parts),
    EndSlash(bool),
    Query(Option<String>),
    Fragment(Option<String>),
    Respell(Spelling),
    Escapes(Escapes),
    Cut(Shape),
}

#[derive(Debug, Clone, Copy)]
enum Spelling {
    UpperEscapes,
    LowerEscapes,
    EscapedTwice,
    EscapedOnce,
    Decoded,
    Parsed,
    HtmlEscaped,
    HtmlUnescaped,
    LowerCase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    PathOnly,
    WithoutScheme,
    Nothing,
}

/// A URL in the making.
#[derive(Debug, Clone)]
struct Draft {
    parts: Parts,
    spelling: Option<Spelling>,
    escapes: Escapes,
    shape: Option<Shape>,
}

impl Edit {
    const fn place(&self) -> u8 {
        match self {
            Self::Whole(_) => 0,
            Self::Scheme(_) => 1,
            Self::Authority(_) => 2,
            Self::Port(_) => 3,
            Self::Path(_) | Self::PathAndQuery(_) => 4,
            Self::EndSlash(_) => 5,
            Self::Query(_) => 6,
            Self::Fragment(_) => 7,
            Self::Respell(_) => 8,
            Self::Escapes(_) => 9,
            Self::Cut(_) => 10,
        }
    }

    fn apply(&self, draft: &mut Draft) {
        let parts = &mut draft.parts;
        match self {
            Self::Whole(other) => *parts = other.clone(),
            Self::Scheme(scheme) => parts.scheme = Some((*scheme).to_owned()),
            Self::Authority(authority) => parts.authority.clone_from(authority),
            Self::Port(port) => {
                let host = parts.host().to_owned();
                parts.authority = port.as_ref().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            }
            Self::Path(path) => parts.path.clone_from(path),
            Self::PathAndQuery(other) => {
                parts.path.clone_from(&other.path);
                parts.query.clone_from(&other.query);
            }
            Self::EndSlash(true) if !parts.path.ends_with('/') => parts.path.push('/'),
            Self::EndSlash(false) if parts.path.ends_with('/') => parts.path.truncate(parts.path.len() - 1),
            Self::EndSlash(_) => {}
            Self::Query(query) => parts.query.clone_from(query),
            Self::Fragment(fragment) => parts.fragment.clone_from(fragment),
            Self::Respell(spelling) => draft.spelling = Some(*spelling),
            Self::Escapes(escapes) => draft.escapes = *escapes,
            Self::Cut(shape) => draft.shape = Some(*shape),
        }
    }
}

impl Draft {
    fn finish(mut self, own: Escapes) -> Address {
        match self.shape {
            Some(Shape::PathOnly) => (self.parts.scheme, self.parts.authority) = (None, String::new()),
            Some(Shape::WithoutScheme) if self.parts.scheme.is_some() => {
                self.parts.path.insert_str(0, &self.parts.authority);
                self.parts.scheme = None;
            }
            Some(Shape::Nothing) => self.parts = Parts::default(),
            _ => {}
        }
        let mut text = self.parts.text();
        if let Some(spelling) = self.spelling {
            text = spelling.write(&text);
        }
        // Where it makes no difference, the same URL shouldn't be tried twice.
        let same = self.escapes == own || v3_uri(&text) == text;
        Address { text, escapes: if same { Escapes::AsTheScheme } else { self.escapes } }
    }
}

impl Spelling {
    fn write(self, text: &str) -> String {
        match self {
            Self::UpperEscapes => with_escapes(text, str::to_ascii_uppercase),
            Self::LowerEscapes => with_escapes(text, str::to_ascii_lowercase),
            Self::EscapedTwice => text.replace('%', "%25"),
            Self::EscapedOnce => text.replace("%25", "%"),
            Self::Decoded => percent_decode_str(text).decode_utf8_lossy().into_owned(),
            Self::Parsed => {
                let escaped = || utf8_percent_encode(text, UNSAFE).to_string();
                url::Url::parse(text).map_or_else(|_| escaped(), |url| url.to_string())
            }
            Self::HtmlEscaped => text.replace('&', "&amp;"),
            Self::HtmlUnescaped => text.replace("&amp;", "&"),
            Self::LowerCase => text.to_lowercase(),
        }
    }
}

fn with_escapes(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        match escape.get(1..3) {
            Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                out.push('%');
                out.push_str(&change(hex));
                rest = &escape[3..];
            }
            _ => {
                out.push('%');
                rest = &escape[1..];
            }
        }
    }
    out + rest
}

/// All URLs to try. `own` is what the scheme does with escapes.
pub(super) fn axis(given: &str, public: &Public, own: Escapes) -> Axis<Address> {
    let base = Draft { parts: Parts::parse(given), spelling: None, escapes: own, shape: None };
    let edits = edits(&base.parts, public, own);
    let mut axis = Axis::of(base.clone().finish(own));
    let mut useful = Vec::new();
    for (mistake, edit) in &edits {
        let mut draft = base.clone();
        edit.apply(&mut draft);
        let address = draft.finish(own);
        if address != axis.variants()[0].value {
            useful.push((*mistake, edit));
            axis.add(address, &[*mistake]);
        }
    }
    let mut pairs = Vec::new();
    for (first, one) in &useful {
        for (second, other) in &useful {
            if one.place() < other.place() && first.cost() + second.cost() <= MAX_PAIR_COST {
                pairs.push(([*first, *second], [*one, *other]));
            }
        }
    }
    pairs.sort_by_key(|(mistakes, _)| super::axis::rank(mistakes));
    for (mistakes, edits) in pairs.into_iter().take(MAX_PAIRS) {
        let mut draft = base.clone();
        for edit in edits {
            edit.apply(&mut draft);
        }
        axis.add(draft.finish(own), &mistakes);
    }
    axis
}

fn edits(base: &Parts, public: &Public, own: Escapes) -> Vec<(Mistake, Edit)> {
    let mut edits = Vec::new();
    for url in &public.urls {
        edits.push((Mistake::UrlOther, Edit::Whole(Parts::parse(url))));
    }
    edit_origin(base, public, &mut edits);
    edit_path(base, public, &mut edits);
    if let Some(query) = &base.query {
        edit_query(query, &mut edits);
    } else {
        edits.push((Mistake::UrlQuestionMark, Edit::Query(Some(String::new()))));
    }
    if base.fragment.is_some() {
        edits.push((Mistake::UrlFragment, Edit::Fragment(None)));
    }
    edits.extend(
        [
            (Mistake::UrlDecoded, Spelling::Decoded),
            (Mistake::UrlEncoded, Spelling::Parsed),
            (Mistake::UrlEscapesUpper, Spelling::UpperEscapes),
            (Mistake::UrlEscapesLower, Spelling::LowerEscapes),
            (Mistake::UrlEscapedTwice, Spelling::EscapedTwice),
            (Mistake::UrlUnescapedOnce, Spelling::EscapedOnce),
            (Mistake::UrlHtmlEscaped, Spelling::HtmlEscaped),
            (Mistake::UrlHtmlEscaped, Spelling::HtmlUnescaped),
            (Mistake::UrlLowerCase, Spelling::LowerCase),
        ]
        .map(|(mistake, spelling)| (mistake, Edit::Respell(spelling))),
    );
    edits.push(match own {
        Escapes::V3 => (Mistake::V3EscapesKept, Edit::Escapes(Escapes::Kept)),
        Escapes::AsTheScheme | Escapes::Kept => (Mistake::V3EscapesDecoded, Edit::Escapes(Escapes::V3)),
    });
    edits.push((Mistake::UrlLeftOut, Edit::Cut(Shape::Nothing)));
    edits
}

fn edit_origin(base: &Parts, public: &Public, edits: &mut Vec<(Mistake, Edit)>) {
    let Some(scheme) = &base.scheme else {
        for scheme in ["https", "http"] {
            for authority in &public.authorities {
                let whole =
                    Parts { scheme: Some(scheme.to_owned()), authority: authority.clone(), ..base.clone() };
                edits.push((Mistake::UrlPathOnlyHere, Edit::Whole(whole)));
            }
        }
        return;
    };
    let other = if scheme.eq_ignore_ascii_case("https") { "http" } else { "https" };
    edits.push((Mistake::UrlScheme, Edit::Scheme(other)));
    edits.push((Mistake::UrlPathOnly, Edit::Cut(Shape::PathOnly)));
    edits.push((Mistake::UrlWithoutScheme, Edit::Cut(Shape::WithoutScheme)));
    for authority in &public.authorities {
        let named = Parts { authority: authority.clone(), ..Parts::default() };
        // The same host with another port is a mistake about ports; those stand below.
        if named.host() != base.host() {
            edits.push((Mistake::UrlHost, Edit::Authority(authority.clone())));
        } else if let Some(port) = named.port() {
            edits.push(with_port(base, port));
        }
    }
    let www = match base.authority.strip_prefix("www.") {
        Some(rest) => rest.to_owned(),
        None => format!("www.{}", base.authority),
    };
    edits.push((Mistake::UrlWww, Edit::Authority(www)));
    edits.push((Mistake::UrlHostCase, Edit::Authority(base.authority.to_lowercase())));
    if base.port().is_some() {
        edits.push((Mistake::UrlPortRemoved, Edit::Port(None)));
    }
    for port in public.ports.iter().map(String::as_str).chain(["443", "80"]) {
        edits.push(with_port(base, port));
    }
}

fn with_port(base: &Parts, port: &str) -> (Mistake, Edit) {
    let mistake = if base.port().is_some() { Mistake::UrlPortOther } else { Mistake::UrlPortAdded };
    (mistake, Edit::Port(Some(port.to_owned())))
}

fn edit_path(base: &Parts, public: &Public, edits: &mut Vec<(Mistake, Edit)>) {
    let path = base.path.as_str();
    edits.push((Mistake::UrlSlashAdded, Edit::EndSlash(true)));
    edits.push((Mistake::UrlSlashRemoved, Edit::EndSlash(false)));
    for other in &public.paths {
        edits.push((Mistake::UrlPathOther, Edit::PathAndQuery(Parts::parse(other))));
    }
    for prefix in &public.prefixes {
        edits.push((Mistake::UrlPrefixAdded, Edit::Path(format!("{prefix}{path}"))));
        if let Some(rest) = path.strip_prefix(prefix.as_str()) {
            edits.push((Mistake::UrlPrefixRemoved, Edit::Path(rest.to_owned())));
        }
    }
    let mut rest = path;
    for _ in 0..MAX_CUT {
        let Some(at) = rest.get(1..).and_then(|rest| rest.find('/')) else { break };
        rest = rest.get(at + 1..).unwrap_or_default();
        edits.push((Mistake::UrlPrefixRemoved, Edit::Path(rest.to_owned())));
    }
    let mut merged = path.to_owned();
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    edits.push((Mistake::UrlSlashesMerged, Edit::Path(merged)));
}

fn edit_query(text: &str, edits: &mut Vec<(Mistake, Edit)>) {
    let mut add = |mistake, query: String| edits.push((mistake, Edit::Query(Some(query))));
    add(Mistake::UrlSpaceAsPlus, text.replace("%20", "+"));
    add(Mistake::UrlSpaceAsPercent20, text.replace('+', "%20"));
    for query in query::sorted(text) {
        add(Mistake::UrlQuerySorted, query);
    }
    for query in query::decoded(text) {
        add(Mistake::UrlQueryDecoded, query);
    }
    for query in query::reencoded(text) {
        add(Mistake::UrlQueryReencoded, query);
    }
    for query in query::reordered(text) {
        add(Mistake::UrlQueryReordered, query);
    }
    for query in query::without_one(text) {
        add(Mistake::UrlParameterDropped, query);
    }
    edits.push((
        if text.is_empty() { Mistake::UrlQuestionMark } else { Mistake::UrlQueryDropped },
        Edit::Query(None),
    ));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signature::doctor::axis::Variant;

    fn find<'a>(axis: &'a Axis<Address>, text: &str) -> Option<&'a Variant<Address>> {
        axis.variants().iter().find(|variant| variant.value.text == text)
    }

    fn public() -> Public {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Public {
            authorities: list(&["public.example", "a.example:8443"]),
            ports: list(&["8080"]),
            prefixes: list(&["/api"]),
            paths: list(&["/was/here?y=2"]),
            urls: list(&["https://other.example/x"]),
        }
    }

    #[test]
    fn each_change_is_there() {
        use Mistake as M;
        let axis = axis("https://a.example/v1/x%2f?b=1&a=%20+", &public(), Escapes::Kept);
        let cases = [
            ("https://a.example/v1/x%2f?b=1&a=%20+", None),
            ("http://a.example/v1/x%2f?b=1&a=%20+", Some(M::UrlScheme)),
            ("https://public.example/v1/x%2f?b=1&a=%20+", Some(M::UrlHost)),
            ("https://a.example:8443/v1/x%2f?b=1&a=%20+", Some(M::UrlPortAdded)),
            ("https://a.example:8080/v1/x%2f?b=1&a=%20+", Some(M::UrlPortAdded)),
            ("https://a.example:443/v1/x%2f?b=1&a=%20+", Some(M::UrlPortAdded)),
            ("https://www.a.example/v1/x%2f?b=1&a=%20+", Some(M::UrlWww)),
            ("https://a.example/v1/x%2f/?b=1&a=%20+", Some(M::UrlSlashAdded)),
            ("https://a.example/api/v1/x%2f?b=1&a=%20+", Some(M::UrlPrefixAdded)),
            ("https://a.example/x%2f?b=1&a=%20+", Some(M::UrlPrefixRemoved)),
            ("https://a.example/was/here?y=2", Some(M::UrlPathOther)),
            ("https://other.example/x", Some(M::UrlOther)),
            ("https://a.example/v1/x%2f", Some(M::UrlQueryDropped)),
            ("https://a.example/v1/x%2f?a=%20+&b=1", Some(M::UrlQuerySorted)),
            ("https://a.example/v1/x%2f?b=1", Some(M::UrlParameterDropped)),
            ("https://a.example/v1/x%2f?b=1&a=++", Some(M::UrlSpaceAsPlus)),
            ("https://a.example/v1/x%2f?b=1&a=%20%20", Some(M::UrlSpaceAsPercent20)),
            ("https://a.example/v1/x%2f?b=1&a= +", Some(M::UrlQueryDecoded)),
            ("https://a.example/v1/x/?b=1&a= +", Some(M::UrlDecoded)),
            ("https://a.example/v1/x%2F?b=1&a=%20+", Some(M::UrlEscapesUpper)),
            ("https://a.example/v1/x%252f?b=1&a=%2520+", Some(M::UrlEscapedTwice)),
            ("https://a.example/v1/x%2f?b=1&amp;a=%20+", Some(M::UrlHtmlEscaped)),
            ("/v1/x%2f?b=1&a=%20+", Some(M::UrlPathOnly)),
            ("a.example/v1/x%2f?b=1&a=%20+", Some(M::UrlWithoutScheme)),
            ("", Some(M::UrlLeftOut)),
        ];
        for (text, expected) in cases {
            let found = find(&axis, text).unwrap_or_else(|| panic!("{text} isn't there"));
            assert_eq!(found.mistakes, expected.into_iter().collect::<Vec<_>>(), "{text}");
        }
        let pairs = [
            ("http://a.example:80/v1/x%2f?b=1&a=%20+", [M::UrlScheme, M::UrlPortAdded]),
            ("http://public.example/v1/x%2f?b=1&a=%20+", [M::UrlScheme, M::UrlHost]),
            ("/v1/x%2f", [M::UrlQueryDropped, M::UrlPathOnly]),
            ("https://a.example/api/v1/x%2f/?b=1&a=%20+", [M::UrlPrefixAdded, M::UrlSlashAdded]),
        ];
        for (text, expected) in &pairs {
            assert_eq!(find(&axis, text).map(|variant| &variant.mistakes[..]), Some(&expected[..]), "{text}");
        }
    }

    #[test]
    fn a_path_alone_gets_an_origin() {
        let axis = axis("/hook?x=1", &public(), Escapes::V3);
        for text in ["https://public.example/hook?x=1", "http://a.example:8443/hook?x=1"] {
            let found = find(&axis, text).unwrap_or_else(|| panic!("{text} isn't there"));
            assert_eq!(found.mistakes, [Mistake::UrlPathOnlyHere]);
        }
        assert!(find(&axis, "https:///hook?x=1").is_none());
    }

    #[test]
    fn escapes_are_kept_or_decoded_against_the_scheme() {
        let variant = |own| {
            let axis = axis("https://a.example/%40", &Public::default(), own);
            let other: Vec<_> = axis
                .variants()
                .iter()
                .filter(|variant| {
                    variant.value.escapes != Escapes::AsTheScheme && variant.mistakes.len() == 1
                })
                .map(|variant| (variant.value.escapes, variant.mistakes[0]))
                .collect();
            other
        };
        assert_eq!(variant(Escapes::V3), [(Escapes::Kept, Mistake::V3EscapesKept)]);
        assert_eq!(variant(Escapes::Kept), [(Escapes::V3, Mistake::V3EscapesDecoded)]);
    }

    proptest! {
        #[test]
        fn axes_are_bounded_and_start_as_given(text in ".{0,80}") {
            for own in [Escapes::Kept, Escapes::V3] {
                let axis = axis(&text, &public(), own);
                prop_assert_eq!(&axis.variants()[0].value.text, &text);
                prop_assert!(axis.variants().len() < 1_000);
            }
        }
    }
}
