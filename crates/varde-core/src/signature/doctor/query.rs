//! What other code makes of a query string (or a form body): other orders, other encoders.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Most parameters for which every order is tried (4! = 24); for more, only the likely ones.
const MAX_ALL_ORDERS: usize = 4;
/// Most parameters that are dropped or moved one by one.
const MAX_ONE_BY_ONE: usize = 16;

/// A writer of queries: what it leaves as it is, and how it writes a space.
pub(super) struct Encoder {
    escaped: &'static AsciiSet,
    plus: bool,
}

/// `URLSearchParams`, Java's `URLEncoder`.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');
/// Python's `urlencode`, Go's `url.Values`, and with `%20` RFC 3986, PHP's `rawurlencode`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// PHP's `http_build_query`.
const PHP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
/// JavaScript's `encodeURIComponent`.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
/// URL parsers: what can't stand in a query.
const QUERY: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'&').add(b'+').add(b'%');

pub(super) const ENCODERS: [Encoder; 6] = [
    Encoder { escaped: FORM, plus: true },
    Encoder { escaped: UNRESERVED, plus: true },
    Encoder { escaped: PHP, plus: true },
    Encoder { escaped: COMPONENT, plus: false },
    Encoder { escaped: UNRESERVED, plus: false },
    Encoder { escaped: QUERY, plus: false },
];

/// The query as each encoder writes it after reading it.
pub(super) fn reencoded(query: &str) -> Vec<String> {
    ENCODERS.iter().map(|encoder| rewritten(query, encoder)).collect()
}

fn rewritten(query: &str, encoder: &Encoder) -> String {
    let component = |text: &str| {
        let bytes: Vec<u8> = percent_decode_str(&text.replace('+', " ")).collect();
        let escaped = percent_encode(&bytes, encoder.escaped).to_string();
        escaped
            .replace(' ', if encoder.plus { "+" } else { "%20" })
            .replace("%20", if encoder.plus { "+" } else { "%20" })
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        format!("{}={}", component(name), component(value))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect::<Vec<_>>().join("&")
}

/// The query percent-decoded, with `+` as it is and as a space.
pub(super) fn decoded(query: &str) -> [String; 2] {
    [query.to_owned(), query.replace('+', " ")]
        .map(|text| percent_decode_str(&text).decode_utf8_lossy().into_owned())
}

/// Sorted by whole pairs, and by names with equal names in their order.
pub(super) fn sorted(query: &str) -> [String; 2] {
    let mut pairs: Vec<&str> = query.split('&').collect();
    let mut by_name = pairs.clone();
    by_name.sort_by_key(|pair| pair.split('=').next());
    pairs.sort_unstable();
    [pairs.join("&"), by_name.join("&")]
}

/// Other orders: all of them for a few parameters, else reversed, turned by one, and neighbours swapped.
pub(super) fn reordered(query: &str) -> Vec<String> {
    let pairs: Vec<&str> = query.split('&').collect();
    let mut orders = Vec::new();
    if pairs.len() <= MAX_ALL_ORDERS {
        permute(&mut pairs.clone(), 0, &mut orders);
        return orders;
    }
    let mut turned = pairs.clone();
    turned.reverse();
    orders.push(turned.join("&"));
    if pairs.len() <= MAX_ONE_BY_ONE {
        turned.clone_from(&pairs);
        turned.rotate_left(1);
        orders.push(turned.join("&"));
        turned.rotate_right(2);
        orders.push(turned.join("&"));
        for at in 1..pairs.len() {
            turned.clone_from(&pairs);
            turned.swap(at - 1, at);
            orders.push(turned.join("&"));
        }
    }
    orders
}

fn permute(pairs: &mut Vec<&str>, from: usize, orders: &mut Vec<String>) {
    if from + 1 >= pairs.len() {
        orders.push(pairs.join("&"));
        return;
    }
    for at in from..pairs.len() {
        pairs.swap(from, at);
        permute(pairs, from + 1, orders);
        pairs.swap(from, at);
    }
}

/// The query without one of its parameters, each in turn; empty for a query with one.
pub(super) fn without_one(query: &str) -> Vec<String> {
    let pairs: Vec<&str> = query.split('&').collect();
    if pairs.len() < 2 || pairs.len() > MAX_ONE_BY_ONE {
        return Vec::new();
    }
    let without = |gone: usize| {
        let left: Vec<&str> =
            pairs.iter().enumerate().filter(|&(at, _)| at != gone).map(|(_, &pair)| pair).collect();
        left.join("&")
    };
    (0..pairs.len()).map(without).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down from `URLSearchParams`, `urllib.parse.urlencode`, `http_build_query`,
    /// `encodeURIComponent` and `quote(…, safe='')`.
    #[test]
    fn encoders_write_as_there() {
        let [form, python, php, component, rfc, parser] =
            reencoded("a=b%20c*~&d=%C3%B8!'(x)&e=f/g:h,i").try_into().unwrap();
        assert_eq!(form, "a=b+c*%7E&d=%C3%B8%21%27%28x%29&e=f%2Fg%3Ah%2Ci");
        assert_eq!(python, "a=b+c%2A~&d=%C3%B8%21%27%28x%29&e=f%2Fg%3Ah%2Ci");
        assert_eq!(php, "a=b+c%2A%7E&d=%C3%B8%21%27%28x%29&e=f%2Fg%3Ah%2Ci");
        assert_eq!(component, "a=b%20c*~&d=%C3%B8!'(x)&e=f%2Fg%3Ah%2Ci");
        assert_eq!(rfc, "a=b%20c%2A~&d=%C3%B8%21%27%28x%29&e=f%2Fg%3Ah%2Ci");
        assert_eq!(parser, "a=b%20c*~&d=%C3%B8!'(x)&e=f/g:h,i");
    }

    #[test]
    fn encoders_keep_what_separates() {
        for written in reencoded("a+b=%26%3D%2B%25&c&&=d") {
            let decoded: Vec<(String, String)> =
                form_urlencoded::parse(written.as_bytes()).into_owned().collect();
            let expected = [("a b", "&=+%"), ("c", ""), ("", "d")];
            assert_eq!(
                decoded,
                expected.map(|(name, value)| (name.to_owned(), value.to_owned())),
                "{written}"
            );
        }
    }

    #[test]
    fn decodes() {
        assert_eq!(decoded("a=b+c%20d%2B"), ["a=b+c d+", "a=b c d+"]);
        assert_eq!(decoded("%ff%"), ["\u{fffd}%", "\u{fffd}%"]);
    }

    #[test]
    fn sorts() {
        assert_eq!(sorted("b=1&a=2&b=0"), ["a=2&b=0&b=1", "a=2&b=1&b=0"]);
        assert_eq!(sorted("a-b=1&a=2"), ["a-b=1&a=2", "a=2&a-b=1"]);
    }

    #[test]
    fn reorders() {
        assert_eq!(reordered("a"), ["a"]);
        assert_eq!(reordered("a&b"), ["a&b", "b&a"]);
        assert_eq!(reordered("a&b&c&d").len(), 24);
        assert_eq!(
            reordered("a&b&c&d&e"),
            ["e&d&c&b&a", "b&c&d&e&a", "e&a&b&c&d", "b&a&c&d&e", "a&c&b&d&e", "a&b&d&c&e", "a&b&c&e&d",]
        );
        assert_eq!(reordered(&"a&".repeat(1_000)).len(), 1);
    }

    #[test]
    fn drops_one() {
        assert_eq!(without_one("a&b&c"), ["b&c", "a&c", "a&b"]);
        assert!(without_one("a").is_empty());
        assert!(without_one(&"a&".repeat(1_000)).is_empty());
    }
}
