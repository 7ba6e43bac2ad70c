//! Dates and times as senders write them, made into Unix milliseconds.
//!
//! Read are:
//! - ISO 8601 text, extended or basic: `2026-01-02`, `20260102`, `2026-01-02T03:04:05.678+02:00`, with a
//!   space for the `T`, with or without seconds, fractions, offset. Without an offset it is UTC.
//! - Unix time as a number, or as text of at least nine digits: below 100,000,000,000 in magnitude it is
//!   seconds (that is the year 5138), from there on milliseconds (that is March 1973). Fractions of a
//!   second are kept to the millisecond.
//!
//! A date is the day that stands in the text, whatever the offset, because that is the day people meant; of
//! Unix time it is the day in UTC.

use jiff::Timestamp;
use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use jiff::tz::Offset;
use serde_json::Value;

const PARSER: DateTimeParser = DateTimeParser::new();

/// Where Unix time stops to be seconds and is milliseconds.
const MS_FROM: f64 = 1e11;

/// Fewer digits than these aren't taken for Unix time in text: eight are a date, and less is no time that
/// anybody sends.
const MIN_UNIX_DIGITS: usize = 9;

const DAY_MS: i64 = 86_400_000;

/// Midnight UTC of a date, in Unix milliseconds; negative before 1970.
pub(super) fn date(value: &Value) -> Option<i64> {
    match unix_time(value) {
        Some(ms) => Some(whole_ms(ms)?.div_euclid(DAY_MS) * DAY_MS),
        None => iso(value.as_str()?).map(|(day, _, _)| day),
    }
}

/// A point in time, in Unix milliseconds; negative before 1970.
pub(super) fn datetime(value: &Value) -> Option<i64> {
    match unix_time(value) {
        Some(ms) => whole_ms(ms),
        None => iso(value.as_str()?).map(|(_, at, _)| at),
    }
}

/// Whether a text is a date with (`Some(true)`) or without a time of day; digits alone are neither.
pub(super) fn kind(text: &str) -> Option<bool> {
    if !text.contains(['-', ':']) {
        return None;
    }
    iso(text).map(|(_, _, with_time)| with_time)
}

/// Milliseconds of Unix time, if it is that kind of value; maybe of no year that there is.
fn unix_time(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let text = text.trim();
            let digits = text.strip_prefix('-').unwrap_or(text);
            let whole = digits.split_once('.').map_or(digits, |(whole, _)| whole);
            let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if whole.len() < MIN_UNIX_DIGITS || !all_digits {
                return None;
            }
            text.parse().ok()?
        }
        _ => return None,
    };
    Some(if number.abs() < MS_FROM { number * 1_000.0 } else { number })
}

/// The same, cut to the millisecond, if it is in the years that are counted.
fn whole_ms(ms: f64) -> Option<i64> {
    // Half a microsecond more, because 1767323045.678 has no exact float.
    Timestamp::from_millisecond((ms + 0.000_5).floor() as i64).ok().map(Timestamp::as_millisecond)
}

/// The midnight, the point in time, and whether a time of day was there.
fn iso(text: &str) -> Option<(i64, i64, bool)> {
    let pieces = PARSER.parse_pieces(text.trim()).ok()?;
    let time = pieces.time();
    let ms = |time: jiff::civil::Time, offset: Offset| {
        offset.to_timestamp(pieces.date().to_datetime(time)).ok().map(Timestamp::as_millisecond)
    };
    let offset = match pieces.offset() {
        None | Some(PiecesOffset::Zulu) => Offset::UTC,
        Some(PiecesOffset::Numeric(numeric)) => numeric.offset(),
        Some(_) => return None,
    };
    let midnight = ms(jiff::civil::Time::midnight(), Offset::UTC)?;
    let at = ms(time.unwrap_or_else(jiff::civil::Time::midnight), offset)?;
    Some((midnight, at, time.is_some()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// 2026-01-02T00:00:00Z.
    const DAY: i64 = 1_767_312_000_000;

    #[test]
    fn datetimes_become_milliseconds() {
        let at = DAY + 11_045_000;
        for (value, expected) in [
            (json!("2026-01-02T03:04:05Z"), at),
            (json!("2026-01-02t03:04:05z"), at),
            (json!("2026-01-02T05:04:05+02:00"), at),
            (json!("2026-01-02T05:04:05+0200"), at),
            (json!("2026-01-02T05:04:05+02"), at),
            (json!("2026-01-01T22:34:05-04:30"), at),
            (json!("2026-01-02T03:04:05"), at),
            (json!("2026-01-02 03:04:05"), at),
            (json!(" 2026-01-02 03:04:05Z "), at),
            (json!("20260102T030405Z"), at),
            (json!("2026-01-02T03:04:05.678Z"), at + 678),
            (json!("2026-01-02T03:04:05.678912Z"), at + 678),
            (json!("2026-01-02T03:04:05,678Z"), at + 678),
            (json!("2026-01-02T03:04Z"), at - 5_000),
            (json!("2026-01-02"), DAY),
            (json!("20260102"), DAY),
            (json!("1969-12-31T23:59:59.999Z"), -1),
            (json!(1_767_323_045), at),
            (json!(1_767_323_045.678), at + 678),
            (json!("1767323045"), at),
            (json!("1767323045.678900"), at + 678),
            (json!(1_767_323_045_678_i64), at + 678),
            (json!("1767323045678"), at + 678),
            (json!(0), 0),
            (json!(-86_400), -86_400_000),
            (json!("-100000000000"), -100_000_000_000),
            (json!(99_999_999_999_i64), 99_999_999_999_000),
            (json!(100_000_000_000_i64), 100_000_000_000),
        ] {
            assert_eq!(datetime(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_date_is_the_day_in_the_text() {
        for (value, expected) in [
            (json!("2026-01-02"), DAY),
            (json!("20260102"), DAY),
            (json!("2026-01-02T23:59:59-05:00"), DAY),
            (json!("2026-01-02T00:30:00+14:00"), DAY),
            (json!("2026-01-02 10:00"), DAY),
            (json!(1_767_323_045), DAY),
            (json!(1_767_323_045_678_i64), DAY),
            (json!("1767323045678"), DAY),
            (json!("1969-12-31"), -DAY_MS),
            (json!(-1), -DAY_MS),
            (json!("0001-01-01"), -62_135_596_800_000),
            (json!("9999-12-30"), 253_402_128_000_000),
        ] {
            assert_eq!(date(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn other_values_are_neither() {
        for value in [
            json!(""),
            json!("soon"),
            json!("2026-13-01"),
            json!("2026-02-30"),
            json!("02/01/2026"),
            json!("2026-01-02T25:00:00Z"),
            json!("Fri, 02 Jan 2026 03:04:05 GMT"),
            json!("12345"),
            json!("1.767.323.045"),
            json!("123456789x"),
            json!(true),
            json!(null),
            json!(["2026-01-02"]),
            json!(1e300),
            json!(u64::MAX),
        ] {
            assert_eq!((date(&value), datetime(&value)), (None, None), "{value}");
        }
    }

    #[test]
    fn tells_dates_from_times() {
        for (text, expected) in [
            ("2026-01-02", Some(false)),
            ("2026-01-02T03:04:05Z", Some(true)),
            ("2026-01-02 03:04", Some(true)),
            ("20260102", None),
            ("1767323045", None),
            ("A-1", None),
            ("12:30", None),
            ("", None),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-0-9TZ:+. a-z]{0,30}", number in any::<f64>()) {
            let _ = (date(&json!(text)), datetime(&json!(text)), kind(&text));
            let _ = (date(&json!(number)), datetime(&json!(number)));
        }

        #[test]
        fn a_date_is_a_midnight(days in -700_000i64..2_900_000) {
            let at = Timestamp::from_millisecond(days * DAY_MS + 4_711).unwrap();
            let text = at.to_string();
            prop_assert_eq!(date(&json!(text)), Some(days * DAY_MS));
            prop_assert_eq!(datetime(&json!(text)), Some(days * DAY_MS + 4_711));
        }
    }
}
