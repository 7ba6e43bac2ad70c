//! Why a call has no result.

use varde_core::json::{Mistake, ParseError};
#[cfg(feature = "verify")]
use varde_core::paste::PasteError;
#[cfg(feature = "preview")]
use varde_core::render::Unsendable;

/// What is thrown: an `Error` with a `code`, and with `errors` where the input holds mistakes, and with
/// `line` and `column` where a pasted text can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) errors: Vec<Mistake>,
    /// Line and column of a text, from 1; columns in characters.
    pub(crate) place: Option<(usize, usize)>,
}

impl From<Vec<Mistake>> for Failure {
    fn from(errors: Vec<Mistake>) -> Self {
        let message = match errors.as_slice() {
            [only] => only.to_string(),
            _ => format!("the input has {} mistakes", errors.len()),
        };
        Self { code: "invalid_input", message, errors, place: None }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self { code: error.code(), message: error.to_string(), errors: Vec::new(), place: None }
    }
}

#[cfg(feature = "preview")]
impl From<Unsendable> for Failure {
    fn from(reason: Unsendable) -> Self {
        Self { code: reason.code(), message: reason.to_string(), errors: Vec::new(), place: None }
    }
}

#[cfg(feature = "verify")]
impl From<PasteError> for Failure {
    fn from(error: PasteError) -> Self {
        let place = Some((error.line, error.column));
        Self { code: error.fault.code(), message: error.to_string(), errors: Vec::new(), place }
    }
}
