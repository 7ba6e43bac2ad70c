//! Secrets, sealed: the registry never sees a value.

use serde_json::Value;
use varde_core::json;
use varde_core::secret::{HostPattern, Sealed, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::Result;

use super::protocol::{Kept, KeyUsers, Page, PageQuery, Resealed, RotateSecret, SecretDeleted, SecretView};
use super::{MAX_SECRETS, Registry};
use crate::database::number;

impl Registry {
    /// Creates a secret, or replaces all of it at once but its age.
    pub(super) fn put_secret(
        &self,
        name: Slug,
        value: Sealed,
        hosts: Vec<HostPattern>,
        now: UnixMs,
    ) -> Result<Kept<SecretView>> {
        let found = self.secret(&name)?;
        if found.is_none() && self.count("secrets")? >= MAX_SECRETS {
            return Ok(Kept::TooMany { limit: MAX_SECRETS });
        }
        let created_at = found.as_ref().map_or(now, |found| found.created_at);
        let stored = StoredSecret::new(name, value, hosts, created_at);
        self.save_secret(&stored)?;
        self.touch_workflows_with(&stored.name)?;
        self.touch_triggers_with(&stored.name)?;
        Ok(Kept::Stored { created: found.is_none(), item: view(&stored, now) })
    }

    /// Gives a secret another value, now or later, with an overlap.
    pub(super) fn rotate_secret(&self, rotate: RotateSecret, now: UnixMs) -> Result<Option<SecretView>> {
        let Some(mut stored) = self.secret(&rotate.name)? else { return Ok(None) };
        stored.rotate(rotate.value, rotate.overlap_ms, rotate.activate_at.unwrap_or(now), now);
        self.save_secret(&stored)?;
        self.touch_workflows_with(&stored.name)?;
        self.touch_triggers_with(&stored.name)?;
        Ok(Some(view(&stored, now)))
    }

    /// Replaces secrets by the same values under another key, and tells how many. One that isn't any more what
    /// was read stays. Nobody needs to hear of it: what Workers remember are opened values.
    pub(super) fn reseal_secrets(&self, changes: &[Resealed]) -> Result<usize> {
        let mut replaced = 0;
        for Resealed { was, now } in changes {
            if self.secret(&was.name)?.as_ref() == Some(was) && now.name == was.name {
                self.save_secret(now)?;
                replaced += 1;
            }
        }
        Ok(replaced)
    }

    /// Who takes a secret for a key of Standard Webhooks.
    pub(super) fn key_users(&self, name: &Slug) -> Result<KeyUsers> {
        Ok(KeyUsers { workflows: self.workflows_with_key(name)?, triggers: self.triggers_with_key(name)? })
    }

    /// Forgets a secret that no workflow and no trigger names.
    pub(super) fn delete_secret(&self, name: &Slug) -> Result<SecretDeleted> {
        if self.secret(name)?.is_none() {
            return Ok(SecretDeleted::Unknown);
        }
        let workflows = self.workflows_with(name)?;
        let triggers = self.triggers_with(name)?;
        if !workflows.is_empty() || !triggers.is_empty() {
            return Ok(SecretDeleted::InUse { workflows, triggers });
        }
        self.database()?.run("DELETE FROM secrets WHERE name = ?", vec![name.as_str().into()])?;
        Ok(SecretDeleted::Deleted)
    }

    /// A part of the list of secrets.
    pub(super) fn list_secrets(&self, query: &PageQuery, now: UnixMs) -> Result<Page<SecretView>> {
        let sql = "SELECT stored FROM secrets WHERE name > ? ORDER BY name LIMIT ?";
        let bindings =
            vec![query.after.as_deref().unwrap_or_default().into(), number(query.limit as u64 + 1)];
        let mut items = Vec::new();
        for mut row in self.database()?.rows(sql, bindings)? {
            items.push(view(&json::from_text(&row.text()?)?, now));
        }
        Ok(Page::cut(items, query.limit, |secret| secret.name.to_string()))
    }

    /// Secrets with their sealed values, for an edge that looks whether they can be what a workflow wants.
    pub(super) fn read_secrets(&self, names: &[Slug]) -> Result<Vec<StoredSecret<Sealed>>> {
        names.iter().filter_map(|name| self.secret(name).transpose()).collect()
    }

    /// A secret as it is stored.
    pub(super) fn secret(&self, name: &Slug) -> Result<Option<StoredSecret<Sealed>>> {
        let rows =
            self.database()?.rows("SELECT stored FROM secrets WHERE name = ?", vec![name.as_str().into()])?;
        rows.into_iter().next().map(|mut row| Ok(json::from_text(&row.text()?)?)).transpose()
    }

    /// Drops values that no longer count. Workers needn't hear of it: they look at the time themselves.
    pub(super) fn advance_secrets(&self, now: UnixMs, limit: u64) -> Result<()> {
        let sql = "SELECT stored FROM secrets WHERE changes_at <= ? LIMIT ?";
        for mut row in self.database()?.rows(sql, vec![number(now.0), number(limit)])? {
            let mut stored: StoredSecret<Sealed> = json::from_text(&row.text()?)?;
            stored.advance(now);
            self.save_secret(&stored)?;
        }
        Ok(())
    }

    fn save_secret(&self, stored: &StoredSecret<Sealed>) -> Result<()> {
        let changes_at = changes_at(stored).map_or(Value::Null, |at| number(at.0));
        self.database()?
            .run(
                "INSERT OR REPLACE INTO secrets (name, stored, changes_at) VALUES (?, ?, ?)",
                vec![stored.name.as_str().into(), serde_json::to_string(stored)?.into(), changes_at],
            )
            .map(drop)
    }
}

fn view(stored: &StoredSecret<Sealed>, now: UnixMs) -> SecretView {
    SecretView {
        name: stored.name.clone(),
        created_at: stored.created_at,
        previous_until: stored.previous_until(now),
        activate_at: stored.activate_at(now),
        hosts: stored.hosts.clone(),
    }
}

/// When `advance` next has something to do.
fn changes_at<V>(stored: &StoredSecret<V>) -> Option<UnixMs> {
    let previous = stored.previous.as_ref().map(|previous| previous.until);
    let pending = stored.pending.as_ref().map(|pending| pending.activate_at);
    previous.into_iter().chain(pending).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_looked_at_again_when_a_value_stops_or_starts_to_count() {
        let mut stored = StoredSecret::new("app".parse().unwrap(), "one", Vec::new(), UnixMs(1));
        assert_eq!(changes_at(&stored), None);
        stored.rotate("two", 100, UnixMs(10), UnixMs(10));
        assert_eq!(changes_at(&stored), Some(UnixMs(110)));
        stored.rotate("three", 100, UnixMs(50), UnixMs(20));
        assert_eq!(changes_at(&stored), Some(UnixMs(50)));
        stored.advance(UnixMs(50));
        assert_eq!(changes_at(&stored), Some(UnixMs(150)));
        stored.advance(UnixMs(150));
        assert_eq!(changes_at(&stored), None);
    }
}
