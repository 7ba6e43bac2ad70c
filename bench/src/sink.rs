//! The other side of the webhooks: a plain HTTP server in this process that checks ids and signatures.
//!
//! A path says how it answers: `/signed/500` wants a signature and answers after 500 ms, `/plain/0` wants none,
//! `/signed/never` leaves every request without an answer, and `/signed/second` answers 503 to the first one of each
//! record.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::ledger::{Ledger, number_in};

/// The signing secret of Standard Webhooks, in base64.
pub const KEY: &str = "YmVuY2ggYmVuY2ggYmVuY2ggYmVuY2ggYmVuY2gxMjM=";
/// Length of a delivery's id: `dlv_` and 26 characters.
const ID_LENGTH: usize = 30;

/// Opens the sink; it serves for as long as this process lives.
///
/// # Errors
///
/// When there is no port to have.
pub async fn open(ledger: Ledger) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            let ledger = ledger.clone();
            let service = service_fn(move |request| answer(ledger.clone(), request));
            // A runtime that goes away closes its connections; that is no mistake of the sink.
            tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(format!("http://{address}"))
}

async fn answer(ledger: Ledger, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(status(StatusCode::OK)); // The sender went away in the middle: nobody hears this.
    };
    let body = body.to_bytes();
    let at = Instant::now();
    let (kind, reply) = head.uri.path()[1..].split_once('/').unwrap_or_default();
    let id = header(&head.headers, "webhook-id");
    if let Err(mistake) = check(kind, id, &head.headers, &body) {
        ledger.mistake(mistake);
    }
    match (number_in(&body), reply.split('/').next().map(str::parse::<u64>)) {
        (None, _) => ledger.mistake("a webhook without a number".to_owned()),
        (Some(number), Some(Ok(delay_ms))) => {
            // The floor counts its ids in each state anew.
            ledger.arrived(number, Some(id).filter(|_| kind == "signed"), at);
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
        }
        (Some(number), _) => {
            let first = ledger.failed(number);
            match (reply, first) {
                ("second", true) => return Ok(status(StatusCode::SERVICE_UNAVAILABLE)),
                ("second", false) => ledger.arrived(number, Some(id), at),
                _ => std::future::pending().await,
            }
        }
    }
    Ok(status(StatusCode::OK))
}

fn status(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

fn check(kind: &str, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    if kind == "plain" {
        return if id.is_empty() { Err("a webhook without an id".to_owned()) } else { Ok(()) };
    }
    if id.len() != ID_LENGTH || !id.starts_with("dlv_") {
        return Err(format!("a webhook with the id {id:?}"));
    }
    let timestamp = header(headers, "webhook-timestamp");
    let given = header(headers, "webhook-signature").strip_prefix("v1,").unwrap_or_default();
    let given = STANDARD.decode(given).map_err(|_| format!("{id} has a signature that isn't base64"))?;
    let key = STANDARD.decode(KEY).expect("invariant: the key is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("invariant: any key is long enough");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.verify_slice(&given).map_err(|_| format!("{id} has a wrong signature"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_what_is_signed_over_id_time_and_body() {
        let id = "dlv_0123456789abcdefghjkmnpqrs";
        let key = STANDARD.decode(KEY).unwrap();
        let signed = |content: &str| {
            let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(content).finalize();
            format!("v1,{}", STANDARD.encode(mac.into_bytes()))
        };
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("webhook-timestamp", "17".parse().unwrap());
            headers.insert("webhook-signature", signature.parse().unwrap());
            headers
        };
        let good = headers(&signed(&format!("{id}.17.{{}}")));
        assert_eq!(check("signed", id, &good, b"{}"), Ok(()));
        assert!(check("signed", id, &good, b"[]").is_err(), "another body");
        assert!(check("signed", "dlv_1123456789abcdefghjkmnpqrs", &good, b"{}").is_err(), "another id");
        assert!(check("signed", "17", &good, b"{}").is_err(), "no id");
        assert!(check("signed", id, &HeaderMap::new(), b"{}").is_err(), "no signature");
        assert_eq!(check("plain", "17", &HeaderMap::new(), b"{}"), Ok(()));
        assert!(check("plain", "", &HeaderMap::new(), b"{}").is_err());
    }
}
