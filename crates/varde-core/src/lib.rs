//! The rules of Varde, without input or output.
//!
//! In scope: what a delivery may become and when ([`delivery`], [`unreadable`], [`outcome`], [`schedule`], [`rate`], [`breaker`]); what the
//! request on the wire looks like ([`workflow`], [`render`], [`auth`], [`signature`]); what input is
//! accepted ([`record`], [`endpoint_url`]); what other systems' workflows are here ([`import`]).
//!
//! Out of scope, and whose job it is instead: clocks and entropy (`ambient.rs` of the Worker; here they
//! are arguments), storage and alarms (the Durable Objects), fetching (`sender.rs`), HTTP statuses of
//! our own API (`http/`).

pub mod time;
pub mod ids;
pub mod slug;
pub mod json;
pub mod delivery;
pub mod unreadable;
pub mod outcome;
pub mod schedule;
pub mod rate;
pub mod breaker;
pub mod replay;
pub mod operations;
pub mod controls;
pub mod workflow;
pub mod enrollment;
pub mod record;
pub mod expr;
pub mod render;
pub mod outputs;
pub mod inbound;
pub mod endpoint_url;
pub mod request;
pub mod auth;
pub mod oauth2;
pub mod shown;
pub mod curl;
pub mod signature;
pub mod preview;
pub mod paste;
pub mod secret;
pub mod token;
pub mod import;

#[cfg(test)]
mod arbitrary;
