//! Names for what is imported: slugs that differ, titles that fit.

use std::collections::BTreeMap;

use crate::slug::MAX_LENGTH;
use crate::workflow::MAX_NAME;

/// Slugs that were picked, so that none is picked twice; each with the number that its next twin tries first.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, u32>);

impl Names {
    /// A slug like `text`, or like `fallback` if it holds no letter or digit of ASCII.
    pub(super) fn pick(&mut self, text: &str, fallback: &str) -> String {
        let base = slugged(text).unwrap_or_else(|| fallback.to_owned());
        let mut name = base.clone();
        let mut number = self.0.get(&base).copied().unwrap_or(1);
        while self.0.contains_key(&name) {
            number += 1;
            let ending = format!("-{number}");
            let kept = base.get(..MAX_LENGTH - ending.len()).unwrap_or(&base);
            name = format!("{kept}{ending}");
        }
        self.0.insert(name.clone(), 1);
        self.0.insert(base, number);
        name
    }
}

/// Lower-case letters and digits, everything between them one hyphen.
fn slugged(text: &str) -> Option<String> {
    let mut slug = String::new();
    for letter in text.chars() {
        if slug.len() == MAX_LENGTH {
            break;
        }
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if letter == '_' && !slug.is_empty() {
            slug.push('_');
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches(['-', '_']);
    (!slug.is_empty()).then(|| slug.to_owned())
}

/// A name for a draft, with its branch where it is one.
pub(super) fn title(name: &str, branch: Option<&str>) -> String {
    let whole = match branch {
        None => name.to_owned(),
        Some(branch) => format!("{name} ({branch})"),
    };
    let printable = whole.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
    let trimmed = printable.trim();
    if trimmed.is_empty() { "Imported workflow".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::slug::Slug;

    #[test]
    fn slugs_look_like_their_texts() {
        let mut names = Names::default();
        for (text, slug) in [
            ("Ship closed deals", "ship-closed-deals"),
            ("Ship closed deals!", "ship-closed-deals-2"),
            ("SHIPPING_KEY", "shipping_key"),
            ("  Über 9000 — ok ", "ber-9000-ok"),
            ("日本語", "imported"),
            ("", "imported-2"),
        ] {
            assert_eq!(names.pick(text, "imported"), slug, "{text}");
        }
        let long = "a".repeat(100);
        assert_eq!(names.pick(&long, "x"), "a".repeat(63));
        assert_eq!(names.pick(&long, "x"), format!("{}-2", "a".repeat(61)));
    }

    #[test]
    fn titles_fit_on_a_line() {
        assert_eq!(title("Ship", Some("big ones")), "Ship (big ones)");
        assert_eq!(title("a\nb", None), "ab");
        assert_eq!(title(" \u{7}", None), "Imported workflow");
        assert_eq!(title(&"é".repeat(300), None).chars().count(), MAX_NAME);
    }

    proptest! {
        #[test]
        fn all_are_slugs_and_none_comes_twice(texts in proptest::collection::vec(".{0,80}", 1..40)) {
            let mut names = Names::default();
            let mut picked = BTreeSet::new();
            for text in &texts {
                let name = names.pick(text, "fallback");
                prop_assert!(name.parse::<Slug>().is_ok(), "{}", name);
                prop_assert!(picked.insert(name));
            }
        }
    }
}
