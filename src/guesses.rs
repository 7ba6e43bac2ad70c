//! Wrong tokens, slowed down: who sends too many waits.
//!
//! The count is kept by the platform's rate limiter, where the deployment has one (`TOKEN_GUESSES`); without
//! it nobody waits. Once an address is over the limit, this isolate refuses its tokens for a while without
//! looking them up, right or wrong; but not those that it has taken before, so that a neighbour behind the same
//! address who guesses, or has a token that was deleted, stops nobody who was at work.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use varde_core::time::{MINUTE_MS, SECOND_MS, UnixMs};
use varde_core::token::TokenHash;
use worker::Env;

use crate::{ambient, log};

const BINDING: &str = "TOKEN_GUESSES";
/// How long an address waits: the window that `wrangler.toml` gives the limiter.
const WAIT_MS: u64 = MINUTE_MS;
/// Addresses that are remembered, 45 bytes each at most. What is beyond is forgotten all at once: who has ten
/// thousand addresses isn't slowed by any of them.
const MAX_ADDRESSES: usize = 10_000;
/// Tokens that are remembered: as many as a registry holds, and the deployment's own.
const MAX_TOKENS: usize = 501;

thread_local! {
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory::new()) };
}

/// Who waits, and whose token was taken before.
struct Memory {
    waiting: BTreeMap<String, UnixMs>,
    taken: BTreeSet<String>,
}

/// Lets a token be looked up.
///
/// # Errors
/// The seconds that its sender has to wait.
pub fn admit(address: &str, token: TokenHash) -> Result<(), u32> {
    let now = ambient::now();
    MEMORY.with_borrow_mut(|memory| memory.admit(address, token, now))
}

/// A token turned out to be right.
pub fn right(token: TokenHash) {
    MEMORY.with_borrow_mut(|memory| memory.right(token));
}

/// A token turned out to be wrong.
///
/// # Errors
/// The seconds that its sender has to wait, if it was one too many.
pub async fn wrong(env: &Env, address: &str) -> Result<(), u32> {
    let Ok(limiter) = env.rate_limiter(BINDING) else { return Ok(()) };
    match limiter.limit(address.to_owned()).await {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(_) => {
            let now = ambient::now();
            MEMORY.with_borrow_mut(|memory| memory.hold(address, now));
            Err(seconds(WAIT_MS))
        }
        // A limiter that is out of order locks nobody out.
        Err(error) => {
            log::error("rate_limiter_failed", &error);
            Ok(())
        }
    }
}

impl Memory {
    const fn new() -> Self {
        Self { waiting: BTreeMap::new(), taken: BTreeSet::new() }
    }

    fn admit(&mut self, address: &str, token: TokenHash, now: UnixMs) -> Result<(), u32> {
        let Some(&until) = self.waiting.get(address) else { return Ok(()) };
        if until <= now {
            self.waiting.remove(address);
            return Ok(());
        }
        if self.taken.contains(&token.to_string()) { Ok(()) } else { Err(seconds(until.since_ms(now))) }
    }

    fn right(&mut self, token: TokenHash) {
        if self.taken.len() >= MAX_TOKENS {
            self.taken.clear();
        }
        self.taken.insert(token.to_string());
    }

    fn hold(&mut self, address: &str, now: UnixMs) {
        if self.waiting.len() >= MAX_ADDRESSES {
            self.waiting.clear();
        }
        self.waiting.insert(address.to_owned(), now.plus_ms(WAIT_MS));
    }
}

fn seconds(ms: u64) -> u32 {
    ms.div_ceil(SECOND_MS).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.7";

    #[test]
    fn who_guesses_waits_and_who_was_at_work_goes_on() {
        let (known, other) = (TokenHash::of("known"), TokenHash::of("other"));
        let mut memory = Memory::new();
        memory.right(known);
        assert_eq!(memory.admit(HERE, other, UnixMs(0)), Ok(()));
        memory.hold(HERE, UnixMs(1_000));
        // Right or wrong isn't looked at any more: a guess that hits has no use of it.
        assert_eq!(memory.admit(HERE, other, UnixMs(1_001)), Err(60));
        assert_eq!(memory.admit(HERE, other, UnixMs(60_999)), Err(1));
        assert_eq!(memory.admit(HERE, known, UnixMs(1_001)), Ok(()));
        assert_eq!(memory.admit("192.0.2.8", other, UnixMs(1_001)), Ok(()));
        assert_eq!(memory.admit(HERE, other, UnixMs(61_000)), Ok(()));
        assert!(memory.waiting.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::new();
        for n in 0..=MAX_ADDRESSES {
            memory.hold(&n.to_string(), UnixMs(0));
        }
        assert_eq!(memory.waiting.len(), 1);
        for n in 0..=MAX_TOKENS {
            memory.right(TokenHash::of(&n.to_string()));
        }
        assert_eq!(memory.taken.len(), 1);
    }
}
