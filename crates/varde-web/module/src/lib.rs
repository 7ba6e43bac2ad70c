//! The core in a browser, linked: all that is here is `varde-web`'s.

pub use varde_web::*;
