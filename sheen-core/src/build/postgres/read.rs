//! Reading builds.

use async_trait::async_trait;

use super::Line;
use super::PgBuildStore;
use super::rows::{BuildRow, corrupt, position};
use super::start::base;
use crate::build::store::BuildReader;
use crate::build::types::{Build, Deadlines, ProjectLatest, Queued};
use crate::error::StoreError;
use crate::files::FileSet;
use crate::id::{BuildId, BuildSessionId, ProjectId, UserId};
use crate::postgres::{row, rows};
use crate::time::Timestamp;

fn queued(row: &BuildRow<'_>) -> Result<Option<Queued>, StoreError> {
    match row.build()? {
        Some(build) => Ok(Some(Queued::new(build, position(row)?))),
        None => Ok(None),
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[async_trait]
impl BuildReader for PgBuildStore {
    async fn get(&self, build: &BuildId) -> Result<Option<Queued>, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/get.sql")).bind(build.as_str())
        })
        .await?;
        found.map_or(Ok(None), |found| queued(&BuildRow(&found)))
    }

    async fn by_session(
        &self,
        user: &UserId,
        session: &BuildSessionId,
    ) -> Result<Option<Queued>, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/by_session.sql"))
                .bind(user.as_str())
                .bind(session.as_str())
        })
        .await?;
        found.map_or(Ok(None), |found| queued(&BuildRow(&found)))
    }

    async fn latest(&self, projects: &[ProjectId]) -> Result<Vec<ProjectLatest>, StoreError> {
        let asked: Vec<&str> = projects.iter().map(ProjectId::as_str).collect();
        let found = rows(&self.pool, || {
            sqlx::query(include_str!("sql/latest.sql")).bind(&asked)
        })
        .await?;
        let latest = |found| {
            let row = BuildRow(found);
            let project = row.some_id("owned_id", ProjectId::parse)?;
            let owner = row.some_id("owner_id", UserId::parse)?;
            Ok(ProjectLatest::new(project, owner, row.build()?))
        };
        found.iter().map(latest).collect()
    }

    async fn owner(&self, project: &ProjectId) -> Result<Option<UserId>, StoreError> {
        let found = row(&self.pool, || {
            sqlx::query(include_str!("sql/owner.sql")).bind(project.as_str())
        })
        .await?;
        found.map_or(Ok(None), |found| {
            BuildRow(&found).id("owner_id", UserId::parse)
        })
    }

    async fn project_files(&self, project: &ProjectId) -> Result<FileSet, StoreError> {
        let line = &mut Line::Pool(&self.pool);
        Ok(base(line, project).await?.files)
    }

    async fn overdue(&self, limit: u32) -> Result<Vec<Build>, StoreError> {
        let line = &mut Line::Pool(&self.pool);
        Ok(overdue(line, &self.deadlines, limit).await?.1)
    }
}

/// Builds past their deadline, the oldest first, and the instant by which they are.
pub(super) async fn overdue(
    line: &mut Line<'_>,
    deadlines: &Deadlines,
    limit: u32,
) -> Result<(Timestamp, Vec<Build>), StoreError> {
    let found = line
        .rows(|| {
            sqlx::query(include_str!("sql/overdue.sql"))
                .bind(millis(deadlines.queued))
                .bind(millis(deadlines.building))
                .bind(i64::from(limit))
        })
        .await?;
    let Some(first) = found.first() else {
        return Ok((Timestamp::EPOCH, Vec::new()));
    };
    let now = BuildRow(first).instant("now_ms")?;
    let builds = found
        .iter()
        .map(|found| BuildRow(found).build()?.ok_or_else(|| corrupt("build_id")))
        .collect::<Result<_, _>>()?;
    Ok((now, builds))
}
