//! Forgetting: an enrollment with its deliveries and their attempts.

use varde_core::ids::{DeliveryId, EnrollmentId};
use varde_core::time::UnixMs;
use worker::Result;

use super::enrollments::IS_FIRST;
use super::parse_id;
use crate::database::{Database, number};

impl Database {
    /// Ids of enrollments behind `after`, oldest first.
    pub fn enrollments_after(&self, after: Option<EnrollmentId>, limit: u64) -> Result<Vec<EnrollmentId>> {
        let after = after.map(|id| id.first_delivery().to_string()).unwrap_or_default();
        let sql =
            format!("SELECT enrollment FROM deliveries WHERE id > ? AND {IS_FIRST} ORDER BY id LIMIT ?");
        let rows = self.rows(&sql, vec![after.into(), number(limit)])?;
        rows.into_iter().map(|mut row| parse_id(&row.text()?)).collect()
    }

    /// When a delivery settled; `None` while it is open. One that isn't there counts
    /// as settled long ago, one whose end can't be read when it was created.
    pub fn settled_at(&self, id: DeliveryId) -> Result<Option<UnixMs>> {
        let sql = "SELECT lane IS NULL, iif(json_valid(finale), json_extract(finale, '$.settled_at'), NULL), created_at FROM deliveries WHERE id = ?";
        let Some(mut row) = self.rows(sql, vec![id.to_string().into()])?.into_iter().next() else {
            return Ok(Some(UnixMs(0)));
        };
        let (ended, settled_at, created_at) = (row.number()? == 1, row.optional_number()?, row.number()?);
        Ok(ended.then(|| UnixMs(settled_at.unwrap_or(created_at))))
    }

    /// Forgets a delivery and its attempts.
    pub fn delete_delivery(&self, id: DeliveryId) -> Result<()> {
        self.run("DELETE FROM attempts WHERE delivery = ?", vec![id.to_string().into()])?;
        self.run("DELETE FROM deliveries WHERE id = ?", vec![id.to_string().into()]).map(drop)
    }

    /// Forgets an enrollment; its deliveries have to be forgotten before.
    pub fn delete_enrollment(&self, id: EnrollmentId) -> Result<()> {
        self.run("DELETE FROM enrollments WHERE id = ?", vec![id.to_string().into()]).map(drop)
    }
}
