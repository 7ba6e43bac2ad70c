//! The master keys of a deployment: the one in force, and during a change of keys the former one.
//!
//! Only the key in force seals. A sealed value names its key by id, so the ring knows which one opens it,
//! and which values are still to be sealed anew ([`KeyRing::reseal`]).

use super::seal::{MasterKey, NONCE_BYTES, Sealed, UnsealError};
use super::{Pending, Previous, Secret, StoredSecret};

/// Values that one secret can have at a time: the one in force, a former one, a planned one.
pub const MAX_VALUES: usize = 3;

/// The keys that open secrets, and the one of them that seals. Its `Debug` shows none.
#[derive(Debug, Clone)]
pub struct KeyRing {
    current: MasterKey,
    previous: Option<MasterKey>,
}

impl KeyRing {
    /// A ring of the key in force and, during a change of keys, the former one.
    #[must_use]
    pub const fn new(current: MasterKey, previous: Option<MasterKey>) -> Self {
        Self { current, previous }
    }

    /// Seals a value under the key in force. `nonce` must be random and new for every call.
    #[must_use]
    pub fn seal(&self, name: &str, value: &Secret, nonce: &[u8; NONCE_BYTES]) -> Sealed {
        self.current.seal(name, value, nonce)
    }

    /// Opens a value that was sealed under the same name by one of the keys.
    ///
    /// # Errors
    ///
    /// [`UnsealError`]; where no key of the ring sealed it, it names the one in force.
    pub fn unseal(&self, name: &str, sealed: &Sealed) -> Result<Secret, UnsealError> {
        self.key_of(sealed).unseal(name, sealed)
    }

    /// Opens all values of a secret.
    ///
    /// # Errors
    ///
    /// The first [`UnsealError`] of its values.
    pub fn unseal_all(&self, stored: &StoredSecret<Sealed>) -> Result<StoredSecret<Secret>, UnsealError> {
        stored.try_map(|sealed| self.unseal(&stored.name, sealed))
    }

    /// The secret with every value sealed by the key in force; `None` where that is so already.
    ///
    /// `nonces` must be random and new for every call.
    ///
    /// # Errors
    ///
    /// The first [`UnsealError`] of its values: then none of them is to be replaced.
    pub fn reseal(
        &self,
        stored: &StoredSecret<Sealed>,
        nonces: [[u8; NONCE_BYTES]; MAX_VALUES],
    ) -> Result<Option<StoredSecret<Sealed>>, UnsealError> {
        let opened = self.unseal_all(stored)?;
        if stored.values().all(|sealed| self.current.sealed(sealed)) {
            return Ok(None);
        }
        let mut nonces = nonces.into_iter();
        opened
            .try_map(|value| {
                let nonce = nonces.next().expect("invariant: a secret has at most MAX_VALUES values");
                Ok(self.seal(&stored.name, value, &nonce))
            })
            .map(Some)
    }

    /// The key that sealed a value, or the one in force, which then says that it didn't.
    fn key_of(&self, sealed: &Sealed) -> &MasterKey {
        self.previous.as_ref().filter(|previous| previous.sealed(sealed)).unwrap_or(&self.current)
    }
}

impl<V> StoredSecret<V> {
    /// The same secret with each of its values changed.
    fn try_map<W, E>(&self, mut change: impl FnMut(&V) -> Result<W, E>) -> Result<StoredSecret<W>, E> {
        let current = change(&self.current)?;
        let previous = match &self.previous {
            None => None,
            Some(Previous { value, until }) => Some(Previous { value: change(value)?, until: *until }),
        };
        let pending = match &self.pending {
            None => None,
            Some(Pending { value, activate_at, overlap_ms }) => {
                Some(Pending { value: change(value)?, activate_at: *activate_at, overlap_ms: *overlap_ms })
            }
        };
        Ok(StoredSecret {
            name: self.name.clone(),
            created_at: self.created_at,
            current,
            previous,
            pending,
            hosts: self.hosts.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::time::UnixMs;

    const NONCES: [[u8; NONCE_BYTES]; MAX_VALUES] = [[1; 12], [2; 12], [3; 12]];

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_base64(&STANDARD.encode([byte; 32])).unwrap()
    }

    fn ring(current: u8, previous: Option<u8>) -> KeyRing {
        KeyRing::new(key(current), previous.map(key))
    }

    fn sealed_by(byte: u8, value: &str) -> Sealed {
        key(byte).seal("a", &Secret::new(value).unwrap(), &[7; NONCE_BYTES])
    }

    /// A secret whose values were sealed by these keys.
    fn stored(current: u8, previous: u8, pending: u8) -> StoredSecret<Sealed> {
        StoredSecret {
            name: "a".parse().unwrap(),
            created_at: UnixMs(1),
            current: sealed_by(current, "current"),
            previous: Some(Previous { value: sealed_by(previous, "previous"), until: UnixMs(9) }),
            pending: Some(Pending {
                value: sealed_by(pending, "pending"),
                activate_at: UnixMs(7),
                overlap_ms: 5,
            }),
            hosts: vec!["api.example.com".parse().unwrap()],
        }
    }

    fn values(opened: &StoredSecret<Secret>) -> Vec<&str> {
        opened.values().map(Secret::expose).collect()
    }

    #[test]
    fn either_key_opens_and_only_the_one_in_force_seals() {
        let ring = ring(2, Some(1));
        for byte in [1, 2] {
            assert_eq!(ring.unseal("a", &sealed_by(byte, "v")).unwrap().expose(), "v");
        }
        let sealed = ring.seal("a", &Secret::new("v").unwrap(), &NONCES[0]);
        assert!(key(2).unseal("a", &sealed).is_ok() && key(1).unseal("a", &sealed).is_err());
    }

    #[test]
    fn a_value_of_a_third_key_is_told_with_the_key_in_force() {
        for ring in [ring(2, Some(1)), ring(2, None)] {
            let error = ring.unseal("a", &sealed_by(3, "v")).unwrap_err();
            let Err(plain) = key(2).unseal("a", &sealed_by(3, "v")) else { panic!("it opened") };
            assert_eq!(error, plain);
            assert_eq!(error.code(), "other_master_key");
        }
        assert_eq!(ring(2, Some(1)).unseal("b", &sealed_by(1, "v")), Err(UnsealError::Changed));
    }

    #[test]
    fn all_values_come_to_the_key_in_force_and_nothing_else_changes() {
        for (current, previous, pending) in [(1, 1, 1), (2, 1, 2), (2, 2, 1), (1, 2, 2)] {
            let before = stored(current, previous, pending);
            let after =
                ring(2, Some(1)).reseal(&before, NONCES).unwrap().expect("it had another key's values");
            let opened = ring(2, None).unseal_all(&after).unwrap();
            assert_eq!(values(&opened), ["current", "previous", "pending"]);
            assert_eq!(opened, ring(2, Some(1)).unseal_all(&before).unwrap());
            assert_eq!(ring(2, None).reseal(&after, NONCES), Ok(None), "once is enough");
            let texts: std::collections::BTreeSet<String> =
                after.values().map(|sealed| serde_json::to_string(sealed).unwrap()).collect();
            assert_eq!(texts.len(), MAX_VALUES);
        }
        assert_eq!(ring(2, Some(1)).reseal(&stored(2, 2, 2), NONCES), Ok(None));
    }

    #[test]
    fn a_secret_that_can_t_be_opened_whole_stays_as_it_is() {
        let error = ring(2, Some(1)).reseal(&stored(1, 3, 1), NONCES).unwrap_err();
        assert_eq!(error.code(), "other_master_key");
        assert!(ring(2, None).reseal(&stored(1, 1, 1), NONCES).is_err());
    }

    #[test]
    fn a_secret_opens_whole_or_not_at_all() {
        let whole = stored(1, 1, 1);
        let opened = ring(1, None).unseal_all(&whole).unwrap();
        assert_eq!(values(&opened), ["current", "previous", "pending"]);
        assert_eq!((&opened.name, &opened.hosts), (&whole.name, &whole.hosts));
        assert_eq!(opened.previous.map(|previous| previous.until), Some(UnixMs(9)));
        let planned = opened.pending.map(|pending| (pending.activate_at, pending.overlap_ms));
        assert_eq!(planned, Some((UnixMs(7), 5)));
        let broken: Sealed = serde_json::from_str("\"broken\"").unwrap();
        let previous = Some(Previous { value: broken.clone(), until: UnixMs(9) });
        let pending = Some(Pending { value: broken.clone(), activate_at: UnixMs(7), overlap_ms: 5 });
        for stored in [
            StoredSecret { current: broken, ..whole.clone() },
            StoredSecret { previous, ..whole.clone() },
            StoredSecret { pending, ..whole.clone() },
        ] {
            assert_eq!(ring(1, None).unseal_all(&stored), Err(UnsealError::UnknownFormat));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?}", ring(1, Some(2))),
            "KeyRing { current: MasterKey(…), previous: Some(MasterKey(…)) }"
        );
    }
}
