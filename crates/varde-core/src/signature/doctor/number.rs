//! JSON numbers as JavaScript and Python print them after reading them.

use std::borrow::Cow;

/// Integers up to here keep all their digits as a double.
const EXACT: u64 = 1 << 53;

/// Whether a text is a number by JSON's grammar.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// As `JSON.stringify(JSON.parse(text))` has it.
pub(super) fn javascript(text: &str) -> Cow<'_, str> {
    let plain = text.strip_prefix('-').unwrap_or(text);
    if text != "-0" && plain.parse::<u64>().is_ok_and(|number| number <= EXACT) {
        return Cow::Borrowed(text);
    }
    match text.parse::<f64>() {
        Ok(0.0) => Cow::Borrowed("0"),
        Ok(number) if number.is_finite() => Cow::Owned(print(number, -7, 21, "", 1)),
        _ => Cow::Borrowed("null"),
    }
}

/// As `json.dumps(json.loads(text))` has it.
pub(super) fn python(text: &str) -> Cow<'_, str> {
    if !text.contains(['.', 'e', 'E']) {
        return Cow::Borrowed(if text == "-0" { "0" } else { text });
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Cow::Owned(print(number, -5, 16, ".0", 2)),
        Ok(number) if number < 0.0 => Cow::Borrowed("-Infinity"),
        _ => Cow::Borrowed("Infinity"),
    }
}

/// The shortest digits that read back as `number`: in plain form where its exponent is above `low` and
/// below `high`, with an exponent of at least `width` digits elsewhere. `whole` follows a number without
/// fraction.
fn print(number: f64, low: i32, high: i32, whole: &str, width: usize) -> String {
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if exponent > low && exponent < high {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { plain + whole };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0width$}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_json_s() {
        for good in ["0", "-0", "12", "0.5", "-1.25e10", "1E+2", "1e-2", "0e0"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "1.2.3", "1e1e1", "--1", "0x1"] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    /// Written down from `node` and `python3`.
    #[test]
    fn numbers_print_as_there() {
        let cases = [
            ("0", "0", "0"),
            ("-0", "0", "0"),
            ("-0.0", "0", "-0.0"),
            ("1.0", "1", "1.0"),
            ("-1.50", "-1.5", "-1.5"),
            ("1e3", "1000", "1000.0"),
            ("1E3", "1000", "1000.0"),
            ("0.1", "0.1", "0.1"),
            ("12345678901234567890", "12345678901234567000", "12345678901234567890"),
            ("9007199254740993", "9007199254740992", "9007199254740993"),
            ("1e15", "1000000000000000", "1000000000000000.0"),
            ("1e16", "10000000000000000", "1e+16"),
            ("1.5e16", "15000000000000000", "1.5e+16"),
            ("1e20", "100000000000000000000", "1e+20"),
            ("1e21", "1e+21", "1e+21"),
            ("1.25e100", "1.25e+100", "1.25e+100"),
            ("0.0001", "0.0001", "0.0001"),
            ("0.00001", "0.00001", "1e-05"),
            ("0.000001", "0.000001", "1e-06"),
            ("0.0000001", "1e-7", "1e-07"),
            ("1.5e-9", "1.5e-9", "1.5e-09"),
            ("1e400", "null", "Infinity"),
            ("-1e400", "null", "-Infinity"),
            ("5e-324", "5e-324", "5e-324"),
        ];
        for (text, by_javascript, by_python) in cases {
            assert_eq!(javascript(text), by_javascript, "{text}");
            assert_eq!(python(text), by_python, "{text}");
        }
    }
}
