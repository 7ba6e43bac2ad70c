//! Punycode, RFC 3492, read.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// What a label, without its `xn--`, stands for; `None` when it stands for nothing.
pub fn decode(encoded: &str) -> Option<String> {
    let (plain, deltas) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut text: Vec<char> = plain.chars().collect();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0_u32, INITIAL_BIAS);
    let mut digits = deltas.chars().peekable();
    while digits.peek().is_some() {
        let before = i;
        let (mut weight, mut k) = (1_u32, BASE);
        loop {
            let digit = digit_of(digits.next()?)?;
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            k += BASE;
        }
        let length = u32::try_from(text.len()).ok()? + 1;
        bias = adapt(i - before, length, before == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        text.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(text.into_iter().collect())
}

fn digit_of(letter: char) -> Option<u32> {
    // `to_digit` counts 0 to 9 before a to z, Punycode after them.
    let place = letter.to_digit(BASE)?;
    Some(if place < 10 { place + 26 } else { place - 10 })
}

const fn adapt(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn reads_the_samples_of_the_rfc_and_refuses_what_stands_for_nothing() {
        for (encoded, text) in [
            ("egbpdaj6bu4bxfgehfvwxn", "ليهمابتكلموشعربي؟"),
            ("ihqwcrb4cv8a8dqg056pqjye", "他们为什么不说中文"),
            ("3B-ww4c5e180e575a65lsy2b", "3年B組金八先生"),
            ("-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n", "安室奈美恵-with-SUPER-MONKEYS"),
            ("mnchen-3ya", "münchen"),
            ("abc-", "abc"),
        ] {
            assert_eq!(decode(encoded).as_deref(), Some(text), "{encoded}");
        }
        for bad in ["mnchen-3y", "a_b", "99999999", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
