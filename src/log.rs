//! Log lines: JSON, one a line, with a stable code and never a secret.

use std::fmt::Display;

use serde_json::json;
use worker::console_error;

/// Something went wrong that a person may want to know of; `code` is a stable slug.
pub fn error(code: &str, cause: &dyn Display) {
    console_error!("{}", json!({"level": "error", "code": code, "cause": cause.to_string()}));
}

/// The same, about one thing.
pub fn error_about(code: &str, subject: &str, cause: &dyn Display) {
    console_error!(
        "{}",
        json!({"level": "error", "code": code, "subject": subject, "cause": cause.to_string()})
    );
}
