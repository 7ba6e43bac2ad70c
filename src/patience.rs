//! Waiting for somebody else, but not for ever.

use std::future::Future;
use std::time::Duration;

use futures_util::future::{Either, select};
use worker::{Delay, Error, Result};

/// What `future` gives, if it does so in time.
///
/// # Errors
/// `future`'s own, or that it took too long; it is then dropped.
pub async fn within<T>(limit: Duration, future: impl Future<Output = Result<T>>) -> Result<T> {
    match select(Box::pin(future), Delay::from(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::from(format!("no answer in {} ms", limit.as_millis()))),
    }
}
