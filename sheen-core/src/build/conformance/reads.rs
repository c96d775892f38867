//! Reading: R1 to R5.

use super::{BuildHarness, LONG_WAIT, SECOND, deployed, failed, files, new_build, project, user};
use crate::build::types::{Authority, Build, BuildKind, FailureReason, ProjectLatest, Queued};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, BuildSessionId};

/// R1: after each step, by id and by session, place in the queue included.
pub async fn r01_what_a_step_returned_is_found(h: BuildHarness) {
    let new = new_build(1, "u", "p");
    let queued = h.started(new.clone()).await;
    let ahead = h.started(new_build(2, "u", "q")).await;
    assert_eq!(h.reader.get(&ahead.build.id).await.unwrap(), Some(ahead));
    let claimed = h.claimed().await.build;
    let ended = h
        .finished(&claimed.id, Authority::Claim(claimed.token), deployed())
        .await;
    assert_ne!(queued.build, ended);
    let found = Some(Queued::new(ended, 0));
    assert_eq!(h.reader.get(&new.id).await.unwrap(), found);
    let by_session = h.reader.by_session(&new.user, &new.session).await.unwrap();
    assert_eq!(by_session, found);
    let absent = BuildSessionId::parse("bs_absent").unwrap();
    assert_eq!(h.reader.by_session(&new.user, &absent).await.unwrap(), None);
    assert_eq!(
        h.reader.by_session(&user("v"), &new.session).await.unwrap(),
        None
    );
    let absent = BuildId::parse("bld_absent").unwrap();
    assert_eq!(h.reader.get(&absent).await.unwrap(), None);
}

/// R2: anyone's build is shown, with its owner on it for the caller to compare.
pub async fn r02_ownership_is_not_checked_by_reading(h: BuildHarness) {
    let mine = h.started(new_build(1, "u", "p")).await.build;
    let theirs = h.started(new_build(2, "v", "q")).await.build;
    assert_eq!(h.row(&mine.id).await.user, user("u"));
    assert_eq!(h.row(&theirs.id).await.user, user("v"));
    let latest = h.reader.latest(&[project("p"), project("q")]).await;
    let latest = latest.unwrap();
    assert_eq!(latest[0], latest_of("u", mine));
    assert_eq!(latest[1], latest_of("v", theirs));
}

fn latest_of(owner: &str, build: Build) -> ProjectLatest {
    ProjectLatest::new(build.project.clone(), user(owner), Some(build))
}

/// R3: by deadline and not by admission, at most `limit`, never an ended build.
pub async fn r03_overdue_lists_the_oldest_deadlines_first(h: BuildHarness) {
    assert_eq!(h.reader.overdue(10).await.unwrap(), []);
    // Deadlines: bld_1 building, heard of at 0 s and again at 540 s, so 630 s; bld_2 queued at
    // 1 s, so 601 s; bld_3 queued at 2 s, so 602 s, but cancelled.
    let kept = h.building(1).await;
    h.advance.by(SECOND).await;
    let waiting = h.started(new_build(2, "u", "q")).await.build;
    h.advance.by(SECOND).await;
    let gone = h.started(new_build(3, "u", "r")).await.build;
    h.advance.by(SECOND * 538).await;
    h.store.beat(&kept.id, kept.token).await.unwrap();
    let owner = Authority::Owner(user("u"));
    h.finished(&gone.id, owner, failed(FailureReason::Cancelled))
        .await;
    let kept = h.row(&kept.id).await;
    assert_eq!(h.reader.overdue(10).await.unwrap(), []);
    h.advance.by(SECOND * 62).await;
    let first = std::slice::from_ref(&waiting);
    assert_eq!(h.reader.overdue(10).await.unwrap(), first);
    h.advance.by(LONG_WAIT).await;
    let both = [waiting.clone(), kept.clone()];
    assert_eq!(h.reader.overdue(10).await.unwrap(), both);
    assert_eq!(h.reader.overdue(1).await.unwrap(), first);
    assert_eq!(h.reader.overdue(0).await.unwrap(), []);
    h.finished(
        &waiting.id,
        Authority::Sweep,
        failed(FailureReason::TimedOut),
    )
    .await;
    assert_eq!(h.reader.overdue(10).await.unwrap(), [kept]);
}

/// R4: a project named twice is answered twice.
pub async fn r04_latest_keeps_the_order_and_leaves_out_the_unknown(h: BuildHarness) {
    let old = h.building(1).await;
    let old = h
        .finished(&old.id, Authority::Claim(old.token), deployed())
        .await;
    let q = h.started(new_build(2, "u", "q")).await.build;
    let ids = ["q", "unknown", "p"].map(project);
    let wanted = [q.clone(), old].map(|build| latest_of("u", build));
    assert_eq!(h.reader.latest(&ids).await.unwrap(), wanted);
    let new = h.started(new_build(3, "u", "p")).await.build;
    let mut beside = new_build(4, "u", "p");
    beside.allow_concurrent = true;
    let beside = h.started(beside).await.build;
    assert_ne!(new, beside);
    let ids = ["p", "q", "p"].map(project);
    let wanted = [beside.clone(), q, beside].map(|build| latest_of("u", build));
    assert_eq!(h.reader.latest(&ids).await.unwrap(), wanted);
    assert_eq!(h.reader.latest(&[]).await.unwrap(), []);
}

/// R5: a refused start leaves them alone, and so does a failed build.
pub async fn r05_project_files_are_those_of_the_last_start(h: BuildHarness) {
    let none = h.reader.project_files(&project("p")).await.unwrap();
    assert_eq!(none, FileSet::default());
    let build = h.building(1).await;
    let mut refused = new_build(2, "u", "p");
    refused.input.files = files("refused");
    h.store.start(refused).await.unwrap();
    assert_eq!(
        h.reader.project_files(&project("p")).await.unwrap(),
        files("<h1>")
    );
    let by = Authority::Claim(build.token);
    h.finished(&build.id, by, failed(FailureReason::BuildFailed))
        .await;
    let mut next = new_build(3, "u", "p");
    next.input.files = files("<h2>");
    h.started(next).await;
    let now = h.reader.project_files(&project("p")).await.unwrap();
    assert_eq!(now.get("index.html"), Some("<h2>"));
    let other = h.reader.project_files(&project("q")).await.unwrap();
    assert!(other.is_empty());
    let claimed = h.claimed().await.build;
    let by = Authority::Claim(claimed.token);
    h.finished(&claimed.id, by, failed(FailureReason::BuildFailed))
        .await;
    let mut update = new_build(4, "u", "p");
    update.input.kind = BuildKind::Update;
    let about = FilePath::parse("about.html").unwrap();
    update.input.files = FileSet::from_iter([(about, "<h3>".into())]);
    h.started(update).await;
    let laid_over = h.reader.project_files(&project("p")).await.unwrap();
    assert_eq!(laid_over.get("index.html"), Some("<h2>"));
    assert_eq!(laid_over.get("about.html"), Some("<h3>"));
    let input = h.claimed().await.input;
    assert_eq!(input.files, laid_over);
}
