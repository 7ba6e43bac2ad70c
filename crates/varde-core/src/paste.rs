//! What a person pastes: a raw HTTP request, a curl command, or an entry of a HAR file, read into the parts
//! that a signature covers.
//!
//! In scope: exactly the bytes that such a request has, as far as the text tells them. Out of scope: files,
//! variables and boundaries that the text only names; they are faults with their place.
//!
//! ```
//! let pasted = varde_core::paste::parse("curl https://a.example/hook -H 'X-Key: 1' -d 'a=b'").unwrap();
//! assert_eq!((pasted.method.as_str(), pasted.url.as_str()), ("POST", "https://a.example/hook"));
//! assert_eq!(pasted.body, b"a=b");
//! ```

mod raw;
mod shell;
mod curl;
mod har;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// Longest text that is read, in bytes: a whole HAR file of a short session.
pub const MAX_TEXT: usize = 16 * 1_024 * 1_024;

/// A request. As JSON it has the fields of [`crate::signature::doctor::Question`]: `body` where the body is
/// UTF-8, else `body_base64`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pasted {
    /// The method.
    pub method: String,
    /// The URL; only path and query where the text doesn't name a host.
    pub url: String,
    /// The headers, in their order and case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a text can't be read as a request, and where; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at line {line}, column {column}")]
pub struct PasteError {
    /// What is wrong.
    pub fault: Fault,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What can be wrong with a pasted text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is nothing but white space.
    #[error("nothing was pasted")]
    Empty,
    /// It is longer than [`MAX_TEXT`].
    #[error("text may have at most {MAX_TEXT} bytes, has {found}")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// The first line isn't one of HTTP.
    #[error(
        "expected a curl command, a HAR entry, or a request line such as `POST /hook HTTP/1.1`, found {found:?}"
    )]
    RequestLine {
        /// The start of the line.
        found: String,
    },
    /// A line before the blank one isn't a header.
    #[error("expected a header as `Name: value`, or a blank line before the body, found {found:?}")]
    HeaderLine {
        /// The start of the line.
        found: String,
    },
    /// A quote isn't closed.
    #[error("the quote {quote} isn't closed")]
    OpenQuote {
        /// The quote.
        quote: &'static str,
    },
    /// An escape in `$'…'` stands for no byte or character.
    #[error("the escape `{escape}` means nothing")]
    Escape {
        /// The escape.
        escape: String,
    },
    /// The shell would put something in that only it knows.
    #[error("`{found}` is known to your shell only: write its value")]
    Expansion {
        /// The variable or the start of the command.
        found: String,
    },
    /// curl would read a file.
    #[error("`{option}` reads a file, which isn't here: paste its content with `--data-raw`")]
    File {
        /// The option with its value.
        option: String,
    },
    /// A multipart form has a boundary that is random.
    #[error("`{option}` sends a form whose boundary is random: paste the raw request instead")]
    Multipart {
        /// The option.
        option: String,
    },
    /// An option that isn't curl's.
    #[error("curl has no option `{option}` that is known here")]
    UnknownOption {
        /// The option.
        option: String,
    },
    /// An option ends the command that needs a value.
    #[error("`{option}` needs a value")]
    MissingValue {
        /// The option.
        option: String,
    },
    /// The command names no URL.
    #[error("the command names no URL")]
    NoUrl,
    /// The command makes several requests.
    #[error("the command makes more than one request: paste one")]
    SecondRequest,
    /// It isn't JSON.
    #[error("not a HAR entry: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// It is JSON, but no request is found in it.
    #[error("this JSON has no request in it: paste one entry of `log.entries`")]
    NoEntry,
    /// A field of the request isn't as HAR has it.
    #[error("`{field}` of the request isn't {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Fault {
    /// A stable slug.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "nothing_pasted",
            Self::TooLong { .. } => "too_long",
            Self::RequestLine { .. } => "not_a_request",
            Self::HeaderLine { .. } => "not_a_header",
            Self::OpenQuote { .. } => "open_quote",
            Self::Escape { .. } => "unknown_escape",
            Self::Expansion { .. } => "shell_expansion",
            Self::File { .. } => "file_not_here",
            Self::Multipart { .. } => "multipart",
            Self::UnknownOption { .. } => "unknown_option",
            Self::MissingValue { .. } => "missing_value",
            Self::NoUrl => "no_url",
            Self::SecondRequest => "second_request",
            Self::Json { .. } => "malformed_json",
            Self::NoEntry => "no_har_entry",
            Self::Field { .. } => "not_a_har_entry",
        }
    }
}

/// A fault at a byte of the text.
type At = (usize, Fault);

/// Reads a pasted text: a curl command where it starts with `curl`, HAR where it starts with a brace or a
/// bracket, else a raw request.
///
/// # Errors
///
/// What can't be read, and where.
pub fn parse(text: &str) -> Result<Pasted, PasteError> {
    read(text).map_err(|(at, fault)| {
        // A fault may be found behind the end; its place is the end then.
        let before = text.get(..at).unwrap_or(text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        PasteError { fault, line, column }
    })
}

fn read(text: &str) -> Result<Pasted, At> {
    if text.len() > MAX_TEXT {
        return Err((0, Fault::TooLong { found: text.len() }));
    }
    let start = text.len() - text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
    let trimmed = &text[start..];
    if trimmed.is_empty() {
        return Err((0, Fault::Empty));
    }
    // A prompt comes along where people copy from a terminal.
    let prompt = if trimmed.starts_with("$ ") { 2 } else { 0 };
    let command = trimmed[prompt..].trim_start();
    if let Some(rest) = command.strip_prefix("curl")
        && rest.starts_with(|c: char| c.is_whitespace() || c == '\\' || c == '.')
        && !rest.trim_start().starts_with("HTTP/")
    {
        return curl::read(text, text.len() - command.len());
    }
    if trimmed.starts_with(['{', '[']) { har::read(text, start) } else { raw::read(text, start) }
}

/// The start of a text, enough to recognise it by.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Whether a text can be a header's name (RFC 9110, section 5.1).
fn is_token(text: &str) -> bool {
    let of_tokens = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_tokens)
}

impl Pasted {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

impl Serialize for Pasted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("method", &self.method)?;
        map.serialize_entry("url", &self.url)?;
        map.serialize_entry("headers", &self.headers)?;
        match core::str::from_utf8(&self.body) {
            Ok(text) => map.serialize_entry("body", text)?,
            Err(_) => map.serialize_entry("body_base64", &STANDARD.encode(&self.body))?,
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
