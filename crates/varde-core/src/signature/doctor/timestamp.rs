//! The texts of the timestamp that may have been signed instead of the header's.

use super::axis::Axis;
use super::mistake::Mistake;
use crate::signature::Received;
use crate::time::{SECOND_MS, UnixMs};

/// A number below this counts seconds (until the year 5138), above it milliseconds (from 1973).
const SECONDS_END: u64 = 100_000_000_000;
/// Headers of other schemes and proxies that hold a time.
const HEADERS: [&str; 7] = [
    "x-hubspot-request-timestamp",
    "webhook-timestamp",
    "svix-timestamp",
    "x-request-timestamp",
    "x-timestamp",
    "x-signature-timestamp",
    "date",
];

/// The unit in which a scheme counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// All timestamps to try, where the scheme's header is `header`.
pub(super) fn axis(received: &Received<'_>, header: &str, unit: Unit) -> Axis<String> {
    let given = received.header(header).unwrap_or_default();
    let mut axis = Axis::of(given.to_owned());
    if let Some(at) = read(given) {
        for (mistake, text) in spellings(at) {
            axis.add(text, &[mistake]);
        }
    }
    axis.add(String::new(), &[Mistake::TimestampLeftOut]);
    for other in HEADERS.iter().filter_map(|name| received.header(name)) {
        axis.add(other.to_owned(), &[Mistake::TimestampOtherHeader]);
        if let Some(at) = read(other) {
            let text = match unit {
                Unit::Seconds => at.as_secs(),
                Unit::Milliseconds => at.0,
            };
            axis.add(text.to_string(), &[Mistake::TimestampOtherHeader]);
        }
    }
    axis
}

/// The point in time that a text means: seconds or milliseconds, whole or not, ISO 8601, or HTTP's form.
pub(super) fn read(text: &str) -> Option<UnixMs> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && digits(whole) && digits(fraction) {
        let number: u64 = whole.parse().ok()?;
        if number >= SECONDS_END {
            return Some(UnixMs(number));
        }
        let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        return Some(UnixMs(number * SECOND_MS + thousandths));
    }
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return u64::try_from(stamp.as_millisecond()).ok().map(UnixMs);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(UnixMs)
}

fn spellings(at: UnixMs) -> Vec<(Mistake, String)> {
    let (seconds, ms) = (at.as_secs(), at.0);
    let iso = at.to_iso8601();
    let (date, thousandths) = iso.split_at(iso.len().saturating_sub(5));
    let thousandths = thousandths.trim_matches(['.', 'Z']);
    vec![
        (Mistake::TimestampInSeconds, seconds.to_string()),
        (Mistake::TimestampInMilliseconds, ms.to_string()),
        (Mistake::TimestampAsFloat, float(ms)),
        (Mistake::TimestampAsFloat, format!("{seconds}.0")),
        (Mistake::TimestampAsFloat, format!("{ms}.0")),
        (Mistake::TimestampRounded, (seconds * SECOND_MS).to_string()),
        (Mistake::TimestampInIso, iso.clone()),
        (Mistake::TimestampInIso, format!("{date}Z")),
        (Mistake::TimestampInIso, format!("{date}.{thousandths}+00:00")),
        // As Python's `isoformat()` prints, with and without a fraction.
        (Mistake::TimestampInIso, format!("{date}.{thousandths}000+00:00")),
        (Mistake::TimestampInIso, format!("{date}+00:00")),
    ]
}

/// Milliseconds as seconds with a fraction, as a double prints.
fn float(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / SECOND_MS, ms % SECOND_MS);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_meets() {
        let at = Some(UnixMs(1_693_657_560_123));
        let whole = Some(UnixMs(1_693_657_560_000));
        let cases = [
            ("1693657560", whole),
            ("1693657560123", at),
            (" 1693657560123 ", at),
            ("1693657560.0", whole),
            ("1693657560.123", at),
            ("1693657560.123999", at),
            ("1693657560.1", Some(UnixMs(1_693_657_560_100))),
            ("1693657560123.0", at),
            ("2023-09-02T12:26:00Z", whole),
            ("2023-09-02T12:26:00.123Z", at),
            ("2023-09-02T14:26:00.123+02:00", at),
            ("Sat, 02 Sep 2023 12:26:00 GMT", whole),
            ("", None),
            ("-5", None),
            (".5", None),
            ("soon", None),
            ("99999999999999999999", None),
            ("1960-01-01T00:00:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn each_change_is_there() {
        use Mistake as M;
        let headers = [
            ("x-hubspot-request-timestamp".to_owned(), "1693657560123".to_owned()),
            ("Date".to_owned(), "Sat, 02 Sep 2023 12:26:01 GMT".to_owned()),
        ];
        let received = Received { method: "POST", uri: "", headers: &headers, body: b"" };
        let axis = axis(&received, "x-hubspot-request-timestamp", Unit::Milliseconds);
        let cases: [(&str, &[M]); 15] = [
            ("1693657560123", &[]),
            ("1693657560", &[M::TimestampInSeconds]),
            ("1693657560.123", &[M::TimestampAsFloat]),
            ("1693657560.0", &[M::TimestampAsFloat]),
            ("1693657560123.0", &[M::TimestampAsFloat]),
            ("1693657560000", &[M::TimestampRounded]),
            ("2023-09-02T12:26:00.123Z", &[M::TimestampInIso]),
            ("2023-09-02T12:26:00Z", &[M::TimestampInIso]),
            ("2023-09-02T12:26:00.123+00:00", &[M::TimestampInIso]),
            ("2023-09-02T12:26:00.123000+00:00", &[M::TimestampInIso]),
            ("2023-09-02T12:26:00+00:00", &[M::TimestampInIso]),
            ("", &[M::TimestampLeftOut]),
            ("Sat, 02 Sep 2023 12:26:01 GMT", &[M::TimestampOtherHeader]),
            ("1693657561000", &[M::TimestampOtherHeader]),
            ("1693657560123", &[]),
        ];
        for (text, expected) in cases {
            let found = axis.variants().iter().find(|variant| variant.value == text);
            assert_eq!(found.map(|variant| &variant.mistakes[..]), Some(expected), "{text:?}");
        }
        assert_eq!(axis.variants().len(), 14);
    }

    #[test]
    fn seconds_become_milliseconds() {
        let headers = [("webhook-timestamp".to_owned(), "1693657560".to_owned())];
        let received = Received { method: "POST", uri: "", headers: &headers, body: b"" };
        let axis = axis(&received, "webhook-timestamp", Unit::Seconds);
        let milliseconds = axis.variants().iter().find(|variant| variant.value == "1693657560000");
        assert_eq!(
            milliseconds.map(|variant| &variant.mistakes[..]),
            Some(&[Mistake::TimestampInMilliseconds][..])
        );
    }

    #[test]
    fn no_header_no_timestamp() {
        let received = Received { method: "POST", uri: "", headers: &[], body: b"" };
        assert_eq!(axis(&received, "webhook-timestamp", Unit::Seconds).variants().len(), 1);
    }
}
