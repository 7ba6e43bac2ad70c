//! A change of master keys: what the former one sealed is sealed anew under the one in force.

use serde::Serialize;
use varde_core::secret::{KeyRing, Sealed, StoredSecret};
use varde_core::slug::Slug;

use crate::ambient;
use crate::directory::DirectoryError;
use crate::http::call::{Call, MAX_PAGE};
use crate::http::configuration::ask;
use crate::http::controls::refuse_content;
use crate::http::error::Problem;
use crate::http::response::Response;
use crate::registry_do::protocol::{Page, PageQuery, RegistryCall, Resealed, SecretView};

/// How often a page is tried whose secrets are changed by others meanwhile; people don't change them that often.
const TRIES: u32 = 3;

/// What became of the secrets.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// All there are.
    secrets: usize,
    /// Those that this call sealed anew.
    resealed: usize,
    /// Those that no key opens: their values are to be put again.
    unreadable: Vec<Unreadable>,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    name: Slug,
    reason: &'static str,
}

/// `POST /v1/master-key/reseal`: seals anew what isn't sealed under the key in force. May be repeated: once
/// nothing is left to do, it does nothing.
pub async fn reseal(call: &mut Call) -> Result<Response, Problem> {
    call.known_query(&[])?;
    if let Some(body) = call.optional_json().await? {
        refuse_content(&body)?;
    }
    let keys = call.config.master_keys.as_ref().map_err(Problem::misconfigured)?;
    let mut answer = Answer::default();
    let mut after = None;
    loop {
        let query = PageQuery { after, limit: MAX_PAGE };
        let page: Page<SecretView> = ask(call, &RegistryCall::ListSecrets(query)).await?;
        let names: Vec<Slug> = page.items.into_iter().map(|secret| secret.name).collect();
        answer.secrets += names.len();
        reseal_page(call, keys, &names, &mut answer).await?;
        after = page.next;
        if after.is_none() {
            return Ok(Response::from_json(&answer)?);
        }
    }
}

async fn reseal_page(
    call: &Call,
    keys: &KeyRing,
    names: &[Slug],
    answer: &mut Answer,
) -> Result<(), Problem> {
    for _ in 0..TRIES {
        let names = names.to_vec();
        let stored: Vec<StoredSecret<Sealed>> = ask(call, &RegistryCall::ReadSecrets { names }).await?;
        let (changes, unreadable) = changes_to(keys, stored);
        let wanted = changes.len();
        let replaced: usize =
            if wanted == 0 { 0 } else { ask(call, &RegistryCall::ResealSecrets { changes }).await? };
        answer.resealed += replaced;
        if replaced == wanted {
            answer.unreadable.extend(unreadable);
            return Ok(());
        }
    }
    let detail =
        "secrets are being changed meanwhile; some are still sealed under the former key, so repeat the call";
    Err(Problem::unavailable("secrets_changing", detail))
}

/// What is to be replaced, and what can't be opened.
fn changes_to(keys: &KeyRing, stored: Vec<StoredSecret<Sealed>>) -> (Vec<Resealed>, Vec<Unreadable>) {
    let (mut changes, mut unreadable) = (Vec::new(), Vec::new());
    for was in stored {
        let nonces = std::array::from_fn(|_| ambient::random_bytes());
        match keys.reseal(&was, nonces) {
            Ok(Some(now)) => changes.push(Resealed { was, now }),
            Ok(None) => {}
            Err(why) => {
                let error = DirectoryError::Sealed { secret: was.name.clone(), why };
                unreadable.push(Unreadable { name: was.name, reason: error.code() });
            }
        }
    }
    (changes, unreadable)
}
