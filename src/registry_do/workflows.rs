//! Workflows: kept, replaced, read, and handed to Workers that run them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use varde_core::controls::Controls;
use varde_core::json;
use varde_core::secret::{Sealed, StoredSecret};
use varde_core::slug::Slug;
use varde_core::time::UnixMs;
use worker::{Error, Result};

use super::protocol::{Outline, Page, PageQuery, Put, PutWorkflow, Resolved, Snapshot, StoredWorkflow};
use super::standing::{Standing, Term};
use super::{MAX_WORKFLOWS, Registry};
use crate::ambient;
use crate::database::Row;
use crate::database::number;

/// Bytes of documents after which a page of a list ends early; a document has up to 256 KiB.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Workflows that a list reads at a time.
const LIST_STEP: usize = 10;

/// A workflow's row without its document.
#[derive(Debug, Clone)]
pub(super) struct WorkflowRow {
    pub slug: Slug,
    pub uid: String,
    pub version: u64,
    pub revision: u64,
    pub outline: Outline,
    pub standing: Standing,
}

const ROW: &str = "slug, uid, version, revision, outline, controls, closing";

impl Registry {
    /// What a Worker needs to run a workflow, or that it has it already.
    pub(super) fn resolve(&self, slug: &Slug, known: Option<u64>, now: UnixMs) -> Result<Resolved> {
        let as_of = self.revision()?;
        if let Some(known) = known
            && self.is_unchanged(slug, known)?
        {
            return Ok(Resolved::Unchanged { as_of });
        }
        let Some(row) = self.workflow(slug, now)? else { return Ok(Resolved::Unknown) };
        let secrets = row.outline.secrets.iter().map(|name| self.secret(name)).collect::<Result<Vec<_>>>()?;
        let snapshot = Snapshot {
            doc: self.doc(slug)?,
            uid: row.uid,
            revision: row.revision,
            controls: row.standing.controls,
            secrets: secrets.into_iter().flatten().collect::<Vec<StoredSecret<Sealed>>>(),
        };
        // Not the one above: a deletion may have lapsed in between.
        Ok(Resolved::Found { as_of: self.revision()?, snapshot })
    }

    /// The short cut of the commonest call: one row, nothing parsed. A deletion under way takes the long
    /// way, because it may have lapsed.
    fn is_unchanged(&self, slug: &Slug, known: u64) -> Result<bool> {
        let sql = "SELECT revision FROM workflows WHERE slug = ? AND closing IS NULL";
        let rows = self.database()?.rows(sql, vec![slug.as_str().into()])?;
        Ok(rows.into_iter().next().map(|mut row| row.number()).transpose()? == Some(known))
    }

    /// Creates or replaces a workflow. The same document again changes nothing.
    pub(super) fn put_workflow(&self, put: &PutWorkflow, now: UnixMs) -> Result<Put> {
        let found = self.workflow(&put.workflow, now)?;
        if found.as_ref().is_some_and(|row| row.standing.controls.closed) {
            return Ok(Put::Closing);
        }
        let mut missing_secrets = Vec::new();
        for name in &put.outline.secrets {
            if self.secret(name)?.is_none() {
                missing_secrets.push(name.clone());
            }
        }
        let shards =
            found.as_ref().map(|row| row.outline.shards).filter(|shards| *shards != put.outline.shards);
        if !missing_secrets.is_empty() || shards.is_some() {
            return Ok(Put::Refused { missing_secrets, shards });
        }
        match found {
            None if self.count("workflows")? >= MAX_WORKFLOWS => Ok(Put::TooMany { limit: MAX_WORKFLOWS }),
            None => self.create_workflow(put, now),
            Some(row) => self.replace_workflow(row, put, now),
        }
    }

    fn create_workflow(&self, put: &PutWorkflow, now: UnixMs) -> Result<Put> {
        let uid = hex::encode(ambient::random_bytes::<16>());
        let mut standing = Standing { controls: Controls::default(), closing: None };
        standing.fit(&put.outline);
        let controls = Controls { version: 1, ..standing.controls };
        self.database()?.run(
            "INSERT INTO workflows (slug, uid, version, revision, doc, outline, controls, created_at, updated_at)
             VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)",
            vec![
                put.workflow.as_str().into(),
                uid.into(),
                number(self.next_revision()?),
                put.doc.get().into(),
                serde_json::to_string(&put.outline)?.into(),
                serde_json::to_string(&controls)?.into(),
                number(now.0),
                number(now.0),
            ],
        )?;
        let stored =
            self.read_workflow(&put.workflow)?.ok_or_else(|| Error::from("a new workflow isn't there"))?;
        Ok(Put::Stored { created: true, stored, broadcast: None })
    }

    fn replace_workflow(&self, mut row: WorkflowRow, put: &PutWorkflow, now: UnixMs) -> Result<Put> {
        let mut broadcast = None;
        let controls_changed = row.standing.fit(&put.outline);
        if controls_changed || self.doc(&row.slug)?.get() != put.doc.get() {
            self.database()?.run(
                "UPDATE workflows SET version = ?, revision = ?, doc = ?, outline = ?, controls = ?, updated_at = ?
                 WHERE slug = ?",
                vec![
                    number(row.version + 1),
                    number(self.next_revision()?),
                    put.doc.get().into(),
                    serde_json::to_string(&put.outline)?.into(),
                    serde_json::to_string(&row.standing.controls)?.into(),
                    number(now.0),
                    row.slug.as_str().into(),
                ],
            )?;
            broadcast = if controls_changed { Some(self.broadcast(&row)?) } else { None };
        }
        let stored =
            self.read_workflow(&put.workflow)?.ok_or_else(|| Error::from("a workflow isn't there"))?;
        Ok(Put::Stored { created: false, stored, broadcast })
    }

    /// A workflow as people see it.
    pub(super) fn read_workflow(&self, slug: &Slug) -> Result<Option<StoredWorkflow>> {
        let sql = "SELECT slug, version, created_at, updated_at, doc FROM workflows WHERE slug = ?";
        let rows = self.database()?.rows(sql, vec![slug.as_str().into()])?;
        rows.into_iter().next().map(stored_workflow).transpose()
    }

    /// A part of the list of workflows.
    pub(super) fn list_workflows(&self, query: &PageQuery) -> Result<Page<StoredWorkflow>> {
        let sql = "SELECT slug, version, created_at, updated_at, doc FROM workflows WHERE slug > ? ORDER BY slug LIMIT ?";
        let mut items: Vec<StoredWorkflow> = Vec::new();
        let mut after = query.after.clone().unwrap_or_default();
        let mut bytes = 0;
        loop {
            let rows = self.database()?.rows(sql, vec![after.as_str().into(), number(LIST_STEP as u64)])?;
            let last_step = rows.len() < LIST_STEP;
            for row in rows {
                if items.len() == query.limit || bytes > PAGE_BYTES {
                    return Ok(Page { items, next: Some(after) });
                }
                let item = stored_workflow(row)?;
                bytes += item.doc.get().len();
                item.id.as_str().clone_into(&mut after);
                items.push(item);
            }
            if last_step {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// A workflow's row; a deletion that has lapsed is called off on the way.
    pub(super) fn workflow(&self, slug: &Slug, now: UnixMs) -> Result<Option<WorkflowRow>> {
        self.workflow_where("slug = ?", slug, now)
    }

    /// The row of the workflow with this internal name.
    pub(super) fn workflow_by_uid(&self, uid: &str, now: UnixMs) -> Result<Option<WorkflowRow>> {
        self.workflow_where("uid = ?", uid, now)
    }

    fn workflow_where(&self, condition: &'static str, key: &str, now: UnixMs) -> Result<Option<WorkflowRow>> {
        let sql = format!("SELECT {ROW} FROM workflows WHERE {condition}");
        let Some(cells) = self.database()?.rows(&sql, vec![key.into()])?.into_iter().next() else {
            return Ok(None);
        };
        let mut row = workflow_row(cells)?;
        if row.standing.lapse(now) {
            self.save_standing(&mut row)?;
        }
        Ok(Some(row))
    }

    /// Stores changed controls, and where a deletion stands.
    pub(super) fn save_standing(&self, row: &mut WorkflowRow) -> Result<()> {
        row.revision = self.next_revision()?;
        let closing = row.standing.closing.as_ref().map(serde_json::to_string).transpose()?;
        self.database()?
            .run(
                "UPDATE workflows SET controls = ?, closing = ?, revision = ? WHERE slug = ?",
                vec![
                    serde_json::to_string(&row.standing.controls)?.into(),
                    closing.into(),
                    number(row.revision),
                    row.slug.as_str().into(),
                ],
            )
            .map(drop)
    }

    /// The workflows that name a secret. All are looked at: this is asked when a secret changes.
    pub(super) fn workflows_with(&self, secret: &Slug) -> Result<Vec<Slug>> {
        let rows = self.database()?.rows("SELECT slug, outline FROM workflows ORDER BY slug", vec![])?;
        let mut naming = Vec::new();
        for mut row in rows {
            let (slug, outline) = (row.text()?, row.text()?);
            let outline: Outline = json::from_text(&outline)?;
            if outline.secrets.contains(secret) {
                naming.push(parse_slug(&slug)?);
            }
        }
        Ok(naming)
    }

    /// The workflows that take a secret for a key of Standard Webhooks.
    pub(super) fn workflows_with_key(&self, secret: &Slug) -> Result<Vec<Slug>> {
        let mut signing = Vec::new();
        for slug in self.workflows_with(secret)? {
            let Signing { actions } = json::from_text(self.doc(&slug)?.get())?;
            if actions.iter().any(|action| action.auth.signs_with(secret)) {
                signing.push(slug);
            }
        }
        Ok(signing)
    }

    /// Makes Workers fetch the workflows that name a secret again.
    pub(super) fn touch_workflows_with(&self, secret: &Slug) -> Result<()> {
        let revision = self.next_revision()?;
        for slug in self.workflows_with(secret)? {
            let bindings = vec![number(revision), slug.as_str().into()];
            self.database()?.run("UPDATE workflows SET revision = ? WHERE slug = ?", bindings)?;
        }
        Ok(())
    }

    fn doc(&self, slug: &Slug) -> Result<Box<RawValue>> {
        let rows =
            self.database()?.rows("SELECT doc FROM workflows WHERE slug = ?", vec![slug.as_str().into()])?;
        let mut row = rows.into_iter().next().ok_or_else(|| Error::from("a workflow has no document"))?;
        Ok(RawValue::from_string(row.text()?)?)
    }
}

/// What the registry reads of a document, for a refusal.
#[derive(Deserialize)]
struct Signing {
    actions: Vec<SigningAction>,
}

#[derive(Deserialize)]
struct SigningAction {
    #[serde(default)]
    auth: SigningAuth,
}

#[derive(Default, Deserialize)]
struct SigningAuth {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    secret: String,
}

impl SigningAuth {
    fn signs_with(&self, secret: &Slug) -> bool {
        self.kind == "standard_webhooks" && self.secret == secret.as_str()
    }
}

fn workflow_row(mut row: Row) -> Result<WorkflowRow> {
    Ok(WorkflowRow {
        slug: parse_slug(&row.text()?)?,
        uid: row.text()?,
        version: row.number()?,
        revision: row.number()?,
        outline: json::from_text(&row.text()?)?,
        standing: Standing {
            controls: json::from_text(&row.text()?)?,
            closing: row.optional_text()?.map(|text| json::from_text::<Term>(&text)).transpose()?,
        },
    })
}

fn stored_workflow(mut row: Row) -> Result<StoredWorkflow> {
    Ok(StoredWorkflow {
        id: parse_slug(&row.text()?)?,
        version: row.number()?,
        created_at: UnixMs(row.number()?),
        updated_at: UnixMs(row.number()?),
        doc: RawValue::from_string(row.text()?)?,
    })
}

pub(super) fn parse_slug(text: &str) -> Result<Slug> {
    text.parse().map_err(|_| Error::from(format!("`{text}` is not a slug")))
}

/// A text or NULL.
pub(super) fn optional(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Into::into)
}
