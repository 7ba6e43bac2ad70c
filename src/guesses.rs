//! Wrong tokens, slowed down: who sends too many waits.
//!
//! The count is kept by the platform's rate limiter, where the deployment has one (`TOKEN_GUESSES`); without
//! it nobody waits. An IPv6 address is counted with all others of its /64: that is what one household or one
//! server has, and who guesses would take another of them for each guess. Once a network is over the limit, this
//! isolate refuses its tokens for a while without looking them up, right or wrong; but not those that it has
//! taken before, so that a neighbour in the same network who guesses, or has a token that was deleted, stops
//! nobody who was at work.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use varde_core::time::{MINUTE_MS, SECOND_MS, UnixMs};
use varde_core::token::TokenHash;
use worker::Env;

use crate::{ambient, log};

const BINDING: &str = "TOKEN_GUESSES";
/// How long a network waits: the window that `wrangler.toml` gives the limiter.
const WAIT_MS: u64 = MINUTE_MS;
/// Networks that are remembered, 45 bytes each at most. What is beyond is forgotten all at once: who has ten
/// thousand of them isn't slowed by any.
const MAX_NETWORKS: usize = 10_000;
/// Bits of an IPv6 address that whoever has it can choose.
const HOST_BITS: u32 = 64;
/// Tokens that are remembered: as many as a registry holds, and the deployment's own.
const MAX_TOKENS: usize = 501;

thread_local! {
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory::new()) };
}

/// Where guesses come from, as far as it is one party: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(String);

impl Network {
    /// The network of an address as `CF-Connecting-IP` has it. What is no address is one of its own.
    pub fn of(address: &str) -> Self {
        Self(match address.trim().parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => address.to_string(),
            Ok(IpAddr::V6(address)) => {
                let prefix = Ipv6Addr::from_bits(address.to_bits() >> HOST_BITS << HOST_BITS);
                format!("{prefix}/{}", u128::BITS - HOST_BITS)
            }
            Err(_) => address.to_owned(),
        })
    }
}

/// Who waits, and whose token was taken before.
struct Memory {
    waiting: BTreeMap<Network, UnixMs>,
    taken: BTreeSet<String>,
}

/// Lets a token be looked up.
///
/// # Errors
/// The seconds that its sender has to wait.
pub fn admit(network: &Network, token: TokenHash) -> Result<(), u32> {
    let now = ambient::now();
    MEMORY.with_borrow_mut(|memory| memory.admit(network, token, now))
}

/// A token turned out to be right.
pub fn right(token: TokenHash) {
    MEMORY.with_borrow_mut(|memory| memory.right(token));
}

/// A token turned out to be wrong.
///
/// # Errors
/// The seconds that its sender has to wait, if it was one too many.
pub async fn wrong(env: &Env, network: &Network) -> Result<(), u32> {
    let Ok(limiter) = env.rate_limiter(BINDING) else { return Ok(()) };
    match limiter.limit(network.0.clone()).await {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(_) => {
            let now = ambient::now();
            MEMORY.with_borrow_mut(|memory| memory.hold(network, now));
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

    fn admit(&mut self, network: &Network, token: TokenHash, now: UnixMs) -> Result<(), u32> {
        let Some(&until) = self.waiting.get(network) else { return Ok(()) };
        if until <= now {
            self.waiting.remove(network);
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

    fn hold(&mut self, network: &Network, now: UnixMs) {
        if self.waiting.len() >= MAX_NETWORKS {
            self.waiting.clear();
        }
        self.waiting.insert(network.clone(), now.plus_ms(WAIT_MS));
    }
}

fn seconds(ms: u64) -> u32 {
    ms.div_ceil(SECOND_MS).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Network {
        Network::of("192.0.2.7")
    }

    #[test]
    fn all_addresses_of_a_64_are_one() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7 ", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:c000:207", "192.0.2.7"),
            ("0:0:0:0:0:FFFF:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
            ("2001:0db8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::", "2001:db8:1:3::/64"),
            ("2001:db8::5", "2001:db8::/64"),
            ("::1", "::/64"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("2001:db8:1:2", "2001:db8:1:2"),
            ("", ""),
        ] {
            assert_eq!(Network::of(address).0, network, "{address}");
        }
    }

    #[test]
    fn another_address_of_the_same_64_waits_too() {
        let mut memory = Memory::new();
        let token = TokenHash::of("guess");
        memory.hold(&Network::of("2001:db8:1:2::1"), UnixMs(0));
        assert_eq!(memory.admit(&Network::of("2001:db8:1:2:abcd::9"), token, UnixMs(1_000)), Err(59));
        assert_eq!(memory.admit(&Network::of("2001:db8:1:3::1"), token, UnixMs(1_000)), Ok(()));
    }

    #[test]
    fn who_guesses_waits_and_who_was_at_work_goes_on() {
        let (known, other) = (TokenHash::of("known"), TokenHash::of("other"));
        let mut memory = Memory::new();
        memory.right(known);
        assert_eq!(memory.admit(&here(), other, UnixMs(0)), Ok(()));
        memory.hold(&here(), UnixMs(1_000));
        // Right or wrong isn't looked at any more: a guess that hits has no use of it.
        assert_eq!(memory.admit(&here(), other, UnixMs(1_001)), Err(60));
        assert_eq!(memory.admit(&here(), other, UnixMs(60_999)), Err(1));
        assert_eq!(memory.admit(&here(), known, UnixMs(1_001)), Ok(()));
        assert_eq!(memory.admit(&Network::of("192.0.2.8"), other, UnixMs(1_001)), Ok(()));
        assert_eq!(memory.admit(&here(), other, UnixMs(61_000)), Ok(()));
        assert!(memory.waiting.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::new();
        for n in 0..=MAX_NETWORKS {
            memory.hold(&Network(n.to_string()), UnixMs(0));
        }
        assert_eq!(memory.waiting.len(), 1);
        for n in 0..=MAX_TOKENS {
            memory.right(TokenHash::of(&n.to_string()));
        }
        assert_eq!(memory.taken.len(), 1);
    }
}
