//! API tokens: hashes with scopes.

use varde_core::json;
use varde_core::time::UnixMs;
use varde_core::token::{Scope, TokenHash};
use worker::{Error, Result};

use super::protocol::{Kept, Page, PageQuery, TokenView, Tokens};
use super::workflows::optional;
use super::{MAX_TOKENS, Registry};
use crate::ambient;
use crate::database::Row;
use crate::database::number;

impl Registry {
    /// All tokens, or that the caller has them already.
    pub(super) fn tokens(&self, known: Option<u64>) -> Result<Tokens> {
        let (as_of, changed_at) = (self.revision()?, self.tokens_changed_at()?);
        if known == Some(changed_at) {
            return Ok(Tokens::Unchanged { as_of });
        }
        let mut tokens = Vec::new();
        for mut row in self.database()?.rows("SELECT hash, scopes FROM tokens", vec![])? {
            let hash: TokenHash = row.text()?.parse().map_err(|_| Error::from("a token has no hash"))?;
            let scopes: Vec<Scope> = json::from_text(&row.text()?)?;
            tokens.push((hash, scopes));
        }
        Ok(Tokens::Changed { as_of, changed_at, tokens })
    }

    /// Keeps a token.
    pub(super) fn create_token(
        &self,
        hash: TokenHash,
        name: Option<String>,
        scopes: Vec<Scope>,
        now: UnixMs,
    ) -> Result<Kept<TokenView>> {
        if self.count("tokens")? >= MAX_TOKENS {
            return Ok(Kept::TooMany { limit: MAX_TOKENS });
        }
        let id = token_id(now, ambient::random_bytes());
        self.database()?.run(
            "INSERT INTO tokens (id, hash, name, scopes, created_at) VALUES (?, ?, ?, ?, ?)",
            vec![
                id.as_str().into(),
                hash.to_string().into(),
                optional(name.as_deref()),
                serde_json::to_string(&scopes)?.into(),
                number(now.0),
            ],
        )?;
        self.tokens_changed()?;
        Ok(Kept::Stored { created: true, item: TokenView { id, name, scopes, created_at: now } })
    }

    /// Forgets a token.
    pub(super) fn delete_token(&self, id: &str) -> Result<bool> {
        let found = !self.database()?.rows("SELECT id FROM tokens WHERE id = ?", vec![id.into()])?.is_empty();
        if found {
            self.database()?.run("DELETE FROM tokens WHERE id = ?", vec![id.into()])?;
            self.tokens_changed()?;
        }
        Ok(found)
    }

    /// A part of the list of tokens.
    pub(super) fn list_tokens(&self, query: &PageQuery) -> Result<Page<TokenView>> {
        let sql = "SELECT id, name, scopes, created_at FROM tokens WHERE id > ? ORDER BY id LIMIT ?";
        let bindings =
            vec![query.after.as_deref().unwrap_or_default().into(), number(query.limit as u64 + 1)];
        let items =
            self.database()?.rows(sql, bindings)?.into_iter().map(token_view).collect::<Result<_>>()?;
        Ok(Page::cut(items, query.limit, |token| token.id.clone()))
    }

    fn tokens_changed(&self) -> Result<()> {
        let revision = self.next_revision()?;
        self.database()?.set_meta("tokens_changed_at", &revision.to_string())
    }

    fn tokens_changed_at(&self) -> Result<u64> {
        match self.database()?.meta("tokens_changed_at")? {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| Error::from("tokens_changed_at is not a number")),
        }
    }
}

fn token_view(mut row: Row) -> Result<TokenView> {
    Ok(TokenView {
        id: row.text()?,
        name: row.optional_text()?,
        scopes: json::from_text(&row.text()?)?,
        created_at: UnixMs(row.number()?),
    })
}

/// `tok_` and 32 hexadecimal digits: 48 bits of time and 80 random ones, so that text order is time order.
fn token_id(now: UnixMs, dice: [u8; 10]) -> String {
    format!("tok_{:012x}{}", now.0 & ((1 << 48) - 1), hex::encode(dice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_ids_are_in_order_of_time() {
        let id = |at| token_id(UnixMs(at), [0xab; 10]);
        assert_eq!(id(1_767_323_045_678), "tok_019b7ca98f2eabababababababababab");
        assert!(id(9) < id(10) && id(0xff) < id(0x100) && id(1_767_323_045_678) < id(1_767_323_045_679));
    }
}
