//! The environment of the Worker, read once per call into types that can't be wrong later.

use std::rc::Rc;

use varde_core::endpoint_url::Policy;
use varde_core::secret::{KeyRing, MasterKey};
use varde_core::token::TokenHash;
use worker::Env;

const CURRENT_KEY: &str = "VARDE_MASTER_KEY";
const PREVIOUS_KEY: &str = "VARDE_MASTER_KEY_PREVIOUS";

/// What the deployment sets: Worker secrets and variables.
#[derive(Debug)]
pub struct Config {
    /// The hash of the first admin token, `VARDE_ADMIN_TOKEN`; without it nobody gets in by it.
    pub admin_token: Option<TokenHash>,
    /// Open the stored secrets: `VARDE_MASTER_KEY`, which seals them, and during a change of keys the former
    /// one, `VARDE_MASTER_KEY_PREVIOUS`.
    pub master_keys: Result<KeyRing, ConfigError>,
    /// Whether `VARDE_DEV_ALLOW_LOOPBACK` opens this machine's own addresses to webhooks.
    pub url_rule: Policy,
}

/// A setting that is missing or malformed. Its text goes to the operator, and never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The Worker secret isn't set.
    #[error("the Worker secret {name} is not set (run `wrangler secret put {name}`)")]
    Missing {
        /// Name of the secret.
        name: &'static str,
    },
    /// The Worker secret can't be read.
    #[error("the Worker secret {name} is not 32 bytes in base64 (make one with `openssl rand -base64 32`)")]
    Malformed {
        /// Name of the secret.
        name: &'static str,
    },
}

thread_local! {
    // Environment values can't change while an isolate lives.
    static CONFIG: std::cell::RefCell<Option<Rc<Config>>> = const { std::cell::RefCell::new(None) };
}

impl Config {
    /// The configuration of this isolate.
    pub fn of(env: &Env) -> Rc<Self> {
        CONFIG.with_borrow_mut(|slot| Rc::clone(slot.get_or_insert_with(|| Rc::new(Self::read(env)))))
    }

    fn read(env: &Env) -> Self {
        let text =
            |name: &str| env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty());
        let key = |name| match text(name) {
            None => Ok(None),
            Some(value) => {
                MasterKey::from_base64(&value).map(Some).map_err(|_| ConfigError::Malformed { name })
            }
        };
        let keys = || {
            let current = key(CURRENT_KEY)?.ok_or(ConfigError::Missing { name: CURRENT_KEY })?;
            Ok(KeyRing::new(current, key(PREVIOUS_KEY)?))
        };
        let loopback = text("VARDE_DEV_ALLOW_LOOPBACK").is_some_and(|value| value == "true");
        Self {
            admin_token: text("VARDE_ADMIN_TOKEN").as_deref().map(TokenHash::of),
            master_keys: keys(),
            url_rule: Policy { allow_loopback: loopback },
        }
    }
}
