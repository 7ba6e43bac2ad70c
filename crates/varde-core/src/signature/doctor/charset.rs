//! The character sets that bodies are mistaken for.

/// What Windows-1252 has at 0x80 to 0x9f, where Latin-1 has control characters. Five places are empty and
/// read as those, as the Encoding standard has it.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A character set with one byte per character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Latin1,
    Windows1252,
}

impl Charset {
    /// Reads bytes as text; every byte is a character.
    pub(super) fn read(self, bytes: &[u8]) -> String {
        bytes.iter().map(|&byte| self.character(byte)).collect()
    }

    /// Writes text as bytes; `None` where a character isn't in the set.
    pub(super) fn write(self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|character| self.byte(character)).collect()
    }

    fn character(self, byte: u8) -> char {
        match (self, byte) {
            (Self::Windows1252, 0x80..=0x9f) => WINDOWS_1252[usize::from(byte - 0x80)],
            _ => char::from(byte),
        }
    }

    fn byte(self, character: char) -> Option<u8> {
        if self == Self::Windows1252 && (character >= '\u{100}' || ('\u{80}'..='\u{9f}').contains(&character))
        {
            let at = WINDOWS_1252.iter().position(|&known| known == character)?;
            return u8::try_from(at + 0x80).ok();
        }
        u8::try_from(u32::from(character)).ok()
    }
}

/// Text in ASCII, with `?` for each other character.
pub(super) fn ascii(text: &str) -> Vec<u8> {
    text.chars().map(|character| if character.is_ascii() { character as u8 } else { b'?' }).collect()
}

/// Text in UTF-16, little end first.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        assert_eq!(Charset::Latin1.read(b"a\x80\xf8\xff"), "a\u{80}øÿ");
        assert_eq!(Charset::Windows1252.read(b"a\x80\x9f\x81\xf8"), "a€Ÿ\u{81}ø");
        assert_eq!(Charset::Latin1.write("aøÿ\u{80}"), Some(b"a\xf8\xff\x80".to_vec()));
        assert_eq!(Charset::Latin1.write("€"), None);
        assert_eq!(Charset::Latin1.write("\u{100}"), None);
        assert_eq!(Charset::Windows1252.write("€ø\u{81}"), Some(b"\x80\xf8\x81".to_vec()));
        assert_eq!(Charset::Windows1252.write("\u{80}"), None);
        assert_eq!(Charset::Windows1252.write("日"), None);
        assert_eq!(ascii("aø😀"), b"a??");
        assert_eq!(utf16("aø😀"), b"a\0\xf8\0\x3d\xd8\x00\xde");
    }

    #[test]
    fn all_bytes_go_in_and_out() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for charset in [Charset::Latin1, Charset::Windows1252] {
            assert_eq!(charset.write(&charset.read(&all)), Some(all.clone()), "{charset:?}");
        }
    }
}
