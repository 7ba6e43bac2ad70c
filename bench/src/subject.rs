//! What is measured: a workflow of Varde, or the floor; both are called alike.

use std::ops::Range;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::ledger::properties;
use crate::process::Process;

/// Something that takes records and owes a webhook for each.
#[derive(Debug, Clone)]
pub struct Subject {
    /// For messages.
    pub name: String,
    /// Of the runtime that it runs in.
    pub address: String,
    /// The runtime's process.
    pub process: Process,
    /// The token that its callers have.
    pub token: String,
    /// Where single records go.
    pub path: String,
    /// Where its open deliveries are counted.
    pub stats: String,
    /// The endpoint that callers name; Varde's is in its workflow.
    pub endpoint: Option<String>,
}

impl Subject {
    /// A connection to it.
    ///
    /// # Errors
    ///
    /// When its runtime is gone.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(&self.address, &self.token).await
    }

    /// The call that enrolls these, each with properties of so many bytes.
    pub fn call(&self, numbers: &Range<u32>, bytes: usize) -> (String, Bytes) {
        let record = |number: u32| {
            format!("{{\"record\":{{\"id\":\"r{number}\",\"properties\":{}}}}}", properties(number, bytes))
        };
        if numbers.len() == 1 {
            return (self.path.clone(), record(numbers.start).into());
        }
        let records: Vec<String> = numbers.clone().map(record).collect();
        (format!("{}/batch", self.path), format!("{{\"inputs\":[{}]}}", records.join(",")).into())
    }

    /// Makes a call of [`Self::call`].
    ///
    /// # Errors
    ///
    /// When the answer isn't a 202 with an id for every record.
    pub async fn enroll(
        &self,
        connection: &mut Connection,
        many: usize,
        (path, body): (String, Bytes),
    ) -> Result<(), Failure> {
        let (status, answer) = connection.call(Method::POST, &path, self.endpoint.as_deref(), body).await?;
        let good = status == StatusCode::ACCEPTED && (many == 1 || ids_in(&answer) == many);
        let told = || String::from_utf8_lossy(&answer[..answer.len().min(500)]).into_owned();
        if good { Ok(()) } else { Err(Failure::new(format!("{} answered {status}: {}", self.name, told()))) }
    }

    /// Its open deliveries.
    ///
    /// # Errors
    ///
    /// When it doesn't say.
    pub async fn open(&self, connection: &mut Connection) -> Result<u64, Failure> {
        let stats = connection.json(Method::GET, &self.stats, None).await?;
        stats["open"].as_u64().ok_or_else(|| Failure::new(format!("{} doesn't say what is open", self.name)))
    }
}

/// The records of a batch that were enrolled.
fn ids_in(answer: &[u8]) -> usize {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer["results"]
        .as_array()
        .map_or(0, |results| results.iter().filter(|result| result["id"].is_string()).count())
}
