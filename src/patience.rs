//! Waiting for somebody else, but not for ever.

use std::future::Future;
use std::time::Duration;

use futures_util::future::{Either, select};
use worker::{Delay, Error};

/// Nobody answered in time: what was asked may or may not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer in {} ms", .0.as_millis())]
pub struct NoAnswer(Duration);

impl From<NoAnswer> for Error {
    fn from(error: NoAnswer) -> Self {
        Self::from(error.to_string())
    }
}

/// What `future` gives, if it does so in time.
///
/// # Errors
/// When it took too long; it is then dropped.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, NoAnswer> {
    match select(Box::pin(future), Delay::from(limit)).await {
        Either::Left((result, _)) => Ok(result),
        Either::Right(_) => Err(NoAnswer(limit)),
    }
}
