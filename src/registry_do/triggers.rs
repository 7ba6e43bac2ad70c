//! Triggers: kept with their workflow, and handed to Workers that take their events.

use serde::Deserialize;
use serde_json::value::RawValue;
use varde_core::inbound::TriggerId;
use varde_core::json;
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::{Error, Response, Result};

use super::protocol::{
    KnownTriggers, Page, PageQuery, PutTrigger, ResolvedTrigger, StoredTrigger, TriggerCall, TriggerName,
    TriggerPut, TriggerSnapshot,
};
use super::workflows::{optional, parse_slug};
use super::{MAX_TRIGGERS, MAX_TRIGGERS_OF_WORKFLOW, Registry};
use crate::database::{Row, number};
use crate::objects::reply;

/// What the registry reads of a document, for refusals.
#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    verify: Proof,
}

/// What its requests must prove.
#[derive(Default, Deserialize)]
struct Proof {
    #[serde(default, rename = "type")]
    kind: String,
}

impl Registry {
    pub(super) fn answer_about_triggers(&self, call: TriggerCall, now: UnixMs) -> Result<Response> {
        match call {
            TriggerCall::Known { known } => reply(&self.known_triggers(known)?),
            TriggerCall::Resolve { trigger, known } => reply(&self.resolve_trigger(trigger, known)?),
            TriggerCall::Put(put) => reply(&self.put_trigger(&put, now)?),
            TriggerCall::Read { workflow, trigger } => reply(&self.read_trigger(&workflow, trigger)?),
            TriggerCall::List { workflow, query } => reply(&self.list_triggers(&workflow, &query, now)?),
            TriggerCall::Delete { workflow, trigger } => reply(&self.delete_trigger(&workflow, trigger)?),
        }
    }

    /// The names of all triggers, or that the caller has them already.
    fn known_triggers(&self, known: Option<u64>) -> Result<KnownTriggers> {
        let (as_of, changed_at) = (self.revision()?, self.triggers_changed_at()?);
        if known == Some(changed_at) {
            return Ok(KnownTriggers::Unchanged { as_of });
        }
        let rows = self.database()?.rows("SELECT id FROM triggers", vec![])?;
        let triggers = rows.into_iter().map(|mut row| parse_id(&row.text()?)).collect::<Result<_>>()?;
        Ok(KnownTriggers::Changed { as_of, changed_at, triggers })
    }

    fn resolve_trigger(&self, trigger: TriggerId, known: Option<u64>) -> Result<ResolvedTrigger> {
        let as_of = self.revision()?;
        let rows = self.database()?.rows(
            "SELECT t.revision, w.slug, t.uid, t.doc, t.secret FROM triggers t JOIN workflows w ON w.uid = t.uid
             WHERE t.id = ?",
            vec![trigger.to_string().into()],
        )?;
        let Some(mut row) = rows.into_iter().next() else { return Ok(ResolvedTrigger::Unknown) };
        let revision = row.number()?;
        if known == Some(revision) {
            return Ok(ResolvedTrigger::Unchanged { as_of });
        }
        let (workflow, uid) = (parse_slug(&row.text()?)?, row.text()?);
        let doc = RawValue::from_string(row.text()?)?;
        let secret = match row.optional_text()? {
            Some(name) => self.secret(&parse_slug(&name)?)?,
            None => None,
        };
        let snapshot = Box::new(TriggerSnapshot { workflow, uid, revision, doc, secret });
        Ok(ResolvedTrigger::Found { as_of, snapshot })
    }

    fn put_trigger(&self, put: &PutTrigger, now: UnixMs) -> Result<TriggerPut> {
        let Some(workflow) = self.workflow(&put.workflow, now)? else {
            return Ok(TriggerPut::UnknownWorkflow);
        };
        if workflow.standing.controls.closed {
            return Ok(TriggerPut::Closing);
        }
        let found = self.read_trigger(&put.workflow, put.trigger)?;
        if !put.create && found.is_none() {
            return Ok(TriggerPut::UnknownTrigger);
        }
        if let Some(secret) = &put.secret
            && self.secret(secret)?.is_none()
        {
            return Ok(TriggerPut::MissingSecret);
        }
        if let Some(found) = found {
            // The same document again changes nothing.
            if found.doc.get() != put.doc.get() {
                self.replace_trigger(put, now)?;
            }
        } else if let Some(refusal) = self.refuse_more_triggers(&workflow.uid)? {
            return Ok(refusal);
        } else {
            self.create_trigger(put, &workflow.uid, now)?;
        }
        let stored = self.read_trigger(&put.workflow, put.trigger)?;
        stored.map(TriggerPut::Stored).ok_or_else(|| Error::from("a trigger that was put isn't there"))
    }

    fn refuse_more_triggers(&self, uid: &str) -> Result<Option<TriggerPut>> {
        let sql = "SELECT count(*) FROM triggers WHERE uid = ?";
        let rows = self.database()?.rows(sql, vec![uid.into()])?;
        let of_workflow = rows.into_iter().next().map_or(Ok(0), |mut row| row.number())?;
        if of_workflow >= MAX_TRIGGERS_OF_WORKFLOW {
            return Ok(Some(TriggerPut::TooMany { limit: MAX_TRIGGERS_OF_WORKFLOW, of_workflow: true }));
        }
        let full = self.count("triggers")? >= MAX_TRIGGERS;
        Ok(full.then_some(TriggerPut::TooMany { limit: MAX_TRIGGERS, of_workflow: false }))
    }

    fn create_trigger(&self, put: &PutTrigger, uid: &str, now: UnixMs) -> Result<()> {
        self.database()?.run(
            "INSERT INTO triggers (id, uid, revision, doc, secret, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            vec![
                put.trigger.to_string().into(),
                uid.into(),
                number(self.triggers_changed()?),
                put.doc.get().into(),
                optional(put.secret.as_deref()),
                number(now.0),
                number(now.0),
            ],
        )?;
        Ok(())
    }

    fn replace_trigger(&self, put: &PutTrigger, now: UnixMs) -> Result<()> {
        self.database()?.run(
            "UPDATE triggers SET revision = ?, doc = ?, secret = ?, updated_at = ? WHERE id = ?",
            vec![
                number(self.next_revision()?),
                put.doc.get().into(),
                optional(put.secret.as_deref()),
                number(now.0),
                put.trigger.to_string().into(),
            ],
        )?;
        Ok(())
    }

    fn read_trigger(&self, workflow: &Slug, trigger: TriggerId) -> Result<Option<StoredTrigger>> {
        let rows = self.database()?.rows(
            "SELECT t.number, t.id, w.slug, t.created_at, t.updated_at, t.doc
             FROM triggers t JOIN workflows w ON w.uid = t.uid WHERE t.id = ? AND w.slug = ?",
            vec![trigger.to_string().into(), workflow.as_str().into()],
        )?;
        rows.into_iter().next().map(|row| Ok(stored_trigger(row)?.1)).transpose()
    }

    fn list_triggers(
        &self,
        workflow: &Slug,
        query: &PageQuery,
        now: UnixMs,
    ) -> Result<Option<Page<StoredTrigger>>> {
        let Some(workflow) = self.workflow(workflow, now)? else { return Ok(None) };
        let after = query.after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(0);
        let rows = self.database()?.rows(
            "SELECT t.number, t.id, w.slug, t.created_at, t.updated_at, t.doc
             FROM triggers t JOIN workflows w ON w.uid = t.uid WHERE t.uid = ? AND t.number > ?
             ORDER BY t.number LIMIT ?",
            vec![workflow.uid.into(), number(after), number(query.limit as u64 + 1)],
        )?;
        let items = rows.into_iter().map(stored_trigger).collect::<Result<Vec<_>>>()?;
        let page = Page::cut(items, query.limit, |(number, _)| number.to_string());
        Ok(Some(Page { items: page.items.into_iter().map(|(_, item)| item).collect(), next: page.next }))
    }

    fn delete_trigger(&self, workflow: &Slug, trigger: TriggerId) -> Result<bool> {
        if self.read_trigger(workflow, trigger)?.is_none() {
            return Ok(false);
        }
        self.triggers_changed()?;
        self.database()?.run("DELETE FROM triggers WHERE id = ?", vec![trigger.to_string().into()])?;
        Ok(true)
    }

    /// A workflow goes, and its triggers with it.
    pub(super) fn remove_triggers_of(&self, uid: &str) -> Result<()> {
        self.triggers_changed()?;
        self.database()?.run("DELETE FROM triggers WHERE uid = ?", vec![uid.into()]).map(drop)
    }

    /// The triggers that name a secret. All are looked at: this is asked when a secret is deleted.
    pub(super) fn triggers_with(&self, secret: &Slug) -> Result<Vec<TriggerName>> {
        Ok(self.proofs_with(secret)?.into_iter().map(|(trigger, _)| trigger).collect())
    }

    /// The triggers that take a secret for a key of Standard Webhooks.
    pub(super) fn triggers_with_key(&self, secret: &Slug) -> Result<Vec<TriggerName>> {
        let proofs = self.proofs_with(secret)?.into_iter();
        Ok(proofs.filter(|(_, kind)| kind == "standard_webhooks").map(|(trigger, _)| trigger).collect())
    }

    /// The triggers that name a secret, each with the type of proof that it is for.
    fn proofs_with(&self, secret: &Slug) -> Result<Vec<(TriggerName, String)>> {
        let rows = self.database()?.rows(
            "SELECT w.slug, t.doc FROM triggers t JOIN workflows w ON w.uid = t.uid WHERE t.secret = ?
             ORDER BY t.number",
            vec![secret.as_str().into()],
        )?;
        rows.into_iter()
            .map(|mut row| {
                let workflow = parse_slug(&row.text()?)?;
                let Named { name, verify } = json::from_text(&row.text()?)?;
                Ok((TriggerName { workflow, name }, verify.kind))
            })
            .collect()
    }

    /// Makes Workers fetch the triggers that name a secret again.
    pub(super) fn touch_triggers_with(&self, secret: &Slug) -> Result<()> {
        let bindings = vec![number(self.next_revision()?), secret.as_str().into()];
        self.database()?.run("UPDATE triggers SET revision = ? WHERE secret = ?", bindings).map(drop)
    }

    /// Notes that a trigger comes or goes; gives the number of the change.
    fn triggers_changed(&self) -> Result<u64> {
        let revision = self.next_revision()?;
        self.database()?.set_meta("triggers_changed_at", &revision.to_string())?;
        Ok(revision)
    }

    fn triggers_changed_at(&self) -> Result<u64> {
        match self.database()?.meta("triggers_changed_at")? {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| Error::from("triggers_changed_at is not a number")),
        }
    }
}

/// A trigger with its number.
fn stored_trigger(mut row: Row) -> Result<(u64, StoredTrigger)> {
    let number = row.number()?;
    let stored = StoredTrigger {
        id: parse_id(&row.text()?)?,
        workflow: parse_slug(&row.text()?)?,
        created_at: UnixMs(row.number()?),
        updated_at: UnixMs(row.number()?),
        doc: RawValue::from_string(row.text()?)?,
    };
    Ok((number, stored))
}

/// The text stays out of the error: it is a key.
fn parse_id(text: &str) -> Result<TriggerId> {
    text.parse().map_err(|_| Error::from("a trigger's id can't be read"))
}
