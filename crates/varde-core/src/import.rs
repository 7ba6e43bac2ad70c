//! Workflows of other systems, made into drafts of ours.
//!
//! In scope: reading what the other system exports, and saying what of it has no counterpart here. Out of
//! scope: storing anything; a draft is input for whoever asked.

pub mod hubspot;
