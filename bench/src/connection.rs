//! One HTTP connection to a runtime.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// A connection that is kept open, and carries one call after another.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: String,
    authorization: String,
    used: Instant,
}

/// The runtime closes connections on which nothing comes for five seconds; one that is as old as this is left.
const IDLE: Duration = Duration::from_secs(2);

impl Connection {
    /// Connects to `host:port`, as the holder of a token.
    ///
    /// # Errors
    ///
    /// When nothing listens there.
    pub async fn open(address: &str, token: &str) -> Result<Self, Failure> {
        let sender = connect(address).await?;
        Ok(Self {
            sender,
            address: address.to_owned(),
            authorization: format!("Bearer {token}"),
            used: Instant::now(),
        })
    }

    /// One call.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        endpoint: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address)
            .header(AUTHORIZATION, &self.authorization);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(endpoint) = endpoint {
            request = request.header("endpoint", endpoint);
        }
        let request =
            request.body(Full::new(body)).map_err(|error| Failure::new(format!("{path}: {error}")))?;
        let left = self.used.elapsed() > IDLE || self.sender.is_closed();
        if left || self.sender.ready().await.is_err() {
            self.sender = connect(&self.address).await?;
        }
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.used = Instant::now();
        Ok((status, body))
    }

    /// One call with JSON in and out, that must succeed.
    ///
    /// # Errors
    ///
    /// When the connection breaks, and when the answer is an error.
    pub async fn json(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let (status, answer) = self.call(method.clone(), path, None, bytes).await?;
        if !status.is_success() {
            return Err(Failure::new(format!(
                "{method} {path} was answered {status}: {}",
                String::from_utf8_lossy(&answer)
            )));
        }
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what goes wrong on the way is the calls' to tell.
    tokio::task::spawn_local(connection);
    Ok(sender)
}
