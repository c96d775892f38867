//! Batches of starts: C15.

use std::sync::Arc;

use super::{BuildHarness, crowd, deployed, files, new_build, project, user};
use crate::build::types::{Authority, BuildKind, NewBuild, StartOutcome};
use crate::error::{StoreError, StoreErrorKind};
use crate::id::BuildId;

type Answers = Vec<Result<StartOutcome, StoreError>>;

async fn started(h: &BuildHarness, batch: &[NewBuild]) -> Answers {
    h.store.start_many(batch.to_vec()).await.unwrap()
}

/// What a start came to, in a word.
fn word(answer: &Result<StartOutcome, StoreError>) -> String {
    match answer {
        Ok(StartOutcome::Started(queued)) => format!("started at {}", queued.position),
        Ok(StartOutcome::SessionKnown(queued)) => format!("known {}", queued.build.id),
        Ok(StartOutcome::ProjectBusy { active }) => format!("busy {active}"),
        Ok(StartOutcome::NotOwner) => "not owner".to_owned(),
        Err(error) => format!("{:?}", error.kind),
    }
}

fn words(answers: &Answers) -> Vec<String> {
    answers.iter().map(word).collect()
}

/// C15: each in its place, those of one project, session and user among them.
pub async fn c15_a_batch_answers_as_its_starts_one_after_another(h: BuildHarness) {
    h.started(new_build(1, "other", "taken")).await;
    let mut beside = new_build(6, "u", "p");
    beside.allow_concurrent = true;
    let mut same_session = new_build(2, "u", "q");
    same_session.id = BuildId::parse("bld_8").unwrap();
    let batch = [
        new_build(2, "u", "p"),
        new_build(3, "u", "taken"),
        new_build(4, "u", "p"),
        new_build(5, "u", "q"),
        beside,
        new_build(7, "other", "q"),
        same_session,
        new_build(9, "u", "r"),
    ];
    let answers = started(&h, &batch).await;
    assert_eq!(
        words(&answers),
        [
            "started at 2",
            "not owner",
            "busy bld_2",
            "started at 3",
            "started at 4",
            "not owner",
            "known bld_2",
            "started at 5",
        ]
    );
    for (new, answer) in batch.iter().zip(answers) {
        if let StartOutcome::Started(queued) = answer.unwrap() {
            assert_eq!(queued.build.id, new.id);
            assert_eq!(h.reader.get(&new.id).await.unwrap(), Some(queued));
        }
    }
    let first = h.claimed().await;
    assert_eq!(first.build.id, new_build(1, "u", "p").id);
    let second = h.claimed().await;
    assert_eq!(
        (second.build.id, second.input),
        (batch[0].id.clone(), batch[0].input.clone())
    );
    assert!(h.store.start_many(Vec::new()).await.unwrap().is_empty());
}

/// C15, I16: one session, and one build, twice inside a batch are one build.
pub async fn c15_one_session_twice_in_a_batch_starts_once(h: BuildHarness) {
    let new = new_build(1, "u", "p");
    let mut other_ids = new.clone();
    other_ids.id = BuildId::parse("bld_again").unwrap();
    let batch = [
        new.clone(),
        new.clone(),
        other_ids.clone(),
        new_build(2, "u", "q"),
    ];
    let answers = started(&h, &batch).await;
    let wanted = ["started at 1", "known bld_1", "known bld_1", "started at 2"];
    assert_eq!(words(&answers), wanted);
    assert_eq!(h.reader.get(&other_ids.id).await.unwrap(), None);
    let repeat = started(&h, &batch).await;
    let wanted = ["known bld_1", "known bld_1", "known bld_1", "known bld_2"];
    assert_eq!(words(&repeat), wanted);
}

/// C15, G2: an id that is taken fails its own start alone; a batch that is too large starts none.
pub async fn c15_a_bad_member_harms_nobody(h: BuildHarness) {
    let first = h.started(new_build(1, "u", "p")).await.build;
    let mut taken = new_build(3, "u", "r");
    taken.id = first.id.clone();
    let batch = [new_build(2, "u", "q"), taken, new_build(4, "u", "s")];
    let answers = started(&h, &batch).await;
    assert_eq!(
        words(&answers),
        ["started at 2", "Rejected", "started at 3"]
    );
    assert_eq!(h.reader.owner(&project("r")).await.unwrap(), None);
    h.unchanged(&first).await;

    let most = u32::try_from(NewBuild::MAX_BATCH).unwrap();
    let many: Vec<_> = (100..=100 + most)
        .map(|n| new_build(n, "u", &format!("many{n}")))
        .collect();
    let refused = h.store.start_many(many.clone()).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Rejected);
    assert_eq!(h.reader.owner(&project("many100")).await.unwrap(), None);
    let answers = started(&h, &many[1..]).await;
    assert!(
        words(&answers)
            .iter()
            .all(|word| word.starts_with("started"))
    );
}

/// C5, C15: updates of one project are laid over one another, and one that is refused is not.
pub async fn c15_updates_in_a_batch_are_laid_over_one_another(h: BuildHarness) {
    let base = h.building(1).await;
    h.finished(&base.id, Authority::Claim(base.token), deployed())
        .await;
    let update = |n: u32, path: &str, beside: bool| {
        let mut new = new_build(n, "u", "p");
        new.input.kind = BuildKind::Update;
        let path = crate::files::FilePath::parse(path).unwrap();
        let content = format!("<p>{n}").into();
        new.input.files = crate::files::FileSet::from_iter([(path, content)]);
        new.allow_concurrent = beside;
        new
    };
    let batch = [
        update(2, "a.html", false),
        update(3, "refused.html", false),
        update(4, "b.html", true),
        update(5, "a.html", true),
    ];
    let answers = started(&h, &batch).await;
    let wanted = ["started at 1", "busy bld_2", "started at 2", "started at 3"];
    assert_eq!(words(&answers), wanted);
    let paths = [
        vec!["a.html", "index.html"],
        vec!["a.html", "b.html", "index.html"],
        vec!["a.html", "b.html", "index.html"],
    ];
    for paths in paths {
        let input = h.claimed().await.input;
        let there: Vec<_> = input.files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(there, paths);
    }
    let now = h.reader.project_files(&project("p")).await.unwrap();
    assert_eq!(now.get("a.html"), Some("<p>5"));
    assert_eq!(now.get("index.html"), Some("<h1>"));
    let mut afresh = update(6, "only.html", true);
    afresh.input.kind = BuildKind::Create;
    started(&h, &[afresh, update(7, "more.html", true)]).await;
    let now = h.reader.project_files(&project("p")).await.unwrap();
    assert_eq!(now.len(), 2, "{now:?}");
}

/// C4, C15: many batches at once over the same projects, in both orders: each project has one
/// build, and nobody fails.
pub async fn c15_of_batches_at_once_each_project_has_one_build(h: BuildHarness) {
    const PROJECTS: u32 = 5;
    // One of the projects is there before.
    let first = h.building(9_000).await;
    h.finished(&first.id, Authority::Claim(first.token), deployed())
        .await;
    let answers = crowd(|n| {
        let store = Arc::clone(&h.store);
        let mut batch: Vec<_> = (0..PROJECTS)
            .map(|of| {
                let of_project = if of == 0 {
                    "p".to_owned()
                } else {
                    format!("p{of}")
                };
                let mut new = new_build(n * 100 + of, "u", &of_project);
                new.input.files = files(&format!("<h1>{n}"));
                new
            })
            .collect();
        if n % 2 == 1 {
            batch.reverse();
        }
        async move { store.start_many(batch).await }
    })
    .await;
    let mut count = 0;
    for answers in answers {
        for answer in answers.unwrap() {
            match answer.unwrap() {
                StartOutcome::Started(_) => count += 1,
                StartOutcome::ProjectBusy { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(count, PROJECTS);
    for _ in 0..PROJECTS {
        assert_eq!(h.claimed().await.build.user, user("u"));
    }
}
