//! Starting a build: `POST /v1/create-preview-for-new-project` and `POST /v1/update-project`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{FromFields, ObjectReader};
use super::suggestions::SuggestionItem;
use crate::build::{BuildInput, Status};
use crate::error::{FieldProblem, Fields};
use crate::files::{FilePath, FileSet};
use crate::id::{BuildId, BuildSessionId, ProjectId, ReservationId, VersionId};
use crate::mode::Mode;
use crate::seconds::Seconds;

/// A start (wire.md §5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartRequest {
    /// For which project.
    pub project: ProjectId,
    /// What to build, in the person's words; at most [`BuildInput::MAX_PROMPT`] bytes.
    pub prompt: Arc<str>,
    /// The files that come with it.
    pub files: FileSet,
    /// What the caller wants kept beside the build, a JSON object as text.
    pub metadata: Option<Arc<str>>,
    /// The mode, where the caller knows modes.
    pub mode: Option<Mode>,
    /// Whether the person confirmed.
    pub confirmed: Option<bool>,
    /// The language tag, as sent.
    pub locale: Option<String>,
    /// What the caller calls this start.
    pub session: Option<BuildSessionId>,
    /// Whether it may run beside another build of the project.
    pub allow_concurrent: bool,
}

impl StartRequest {
    /// The longest language tag, in bytes.
    pub const MAX_LOCALE: usize = 64;
}

impl FromFields for StartRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let project = body.id("projectId");
        let prompt = body.text("prompt", BuildInput::MAX_PROMPT);
        let files = body
            .take_with_fields("templateFiles")
            .map_or_else(FileSet::default, |(value, fields)| {
                template_files(value, fields)
            });
        let metadata = body.optional_object_text("metadata", BuildInput::MAX_METADATA);
        let modes = [("plan", Mode::Plan), ("build", Mode::Build)];
        let mode = body.optional_one_of("mode", &modes);
        let confirmed = body.optional_bool("confirmed");
        let locale = body.optional_text("locale", Self::MAX_LOCALE);
        let session = body.optional_id("buildSessionId");
        let allow_concurrent = body.optional_bool("allowConcurrent").unwrap_or(false);
        Some(Self {
            project: project?,
            prompt: prompt?.into(),
            files,
            metadata: metadata.map(Into::into),
            mode,
            confirmed,
            locale,
            session,
            allow_concurrent,
        })
    }
}

/// `{path: content}` or `[{path, content}]`.
fn template_files(value: Value, fields: &mut Fields) -> FileSet {
    let count = match &value {
        Value::Object(map) => map.len(),
        Value::Array(items) => items.len(),
        _ => {
            let message = "must be an object of path to content, or a list of path and content";
            fields.refuse("templateFiles", "wrong_type", message);
            return FileSet::default();
        }
    };
    if count > FileSet::MAX_FILES {
        let message = format!("must be at most {} files", FileSet::MAX_FILES);
        fields.refuse("templateFiles", "too_many", message);
        return FileSet::default();
    }
    let files = match value {
        Value::Object(map) => files_by_path(map, fields),
        Value::Array(items) => files_in_list(items, fields),
        _ => FileSet::default(),
    };
    if let Some(path) = files.file_in_a_file() {
        let field = format!("templateFiles[{}]", shortened(path.as_str()));
        fields.refuse(field, "not_a_folder", "lies in a path that is a file here");
    }
    files
}

fn files_by_path(map: Map<String, Value>, fields: &mut Fields) -> FileSet {
    map.into_iter()
        .filter_map(|(path, content)| {
            let place = || format!("templateFiles[{}]", shortened(&path));
            let content = content_of(content, place, fields);
            match FilePath::parse(&path) {
                Ok(path) => Some((path, content?)),
                Err(error) => {
                    fields.refuse(place(), error.code(), error.to_string());
                    None
                }
            }
        })
        .collect()
}

fn files_in_list(items: Vec<Value>, fields: &mut Fields) -> FileSet {
    let mut files = BTreeMap::new();
    for (index, item) in items.into_iter().enumerate() {
        let Value::Object(mut item) = item else {
            let field = format!("templateFiles[{index}]");
            fields.refuse(field, "wrong_type", "must be an object of path and content");
            continue;
        };
        let path = path_of(item.remove("path"), index, fields);
        let place = || format!("templateFiles[{index}].content");
        let content = match item.remove("content") {
            Some(content) => content_of(content, place, fields),
            None => {
                fields.refuse(place(), "required", "is required");
                None
            }
        };
        let (Some(path), Some(content)) = (path, content) else {
            continue;
        };
        if files.insert(path, content).is_some() {
            let field = format!("templateFiles[{index}].path");
            fields.refuse(field, "duplicate", "is in the list twice");
        }
    }
    files.into_iter().collect()
}

fn path_of(value: Option<Value>, index: usize, fields: &mut Fields) -> Option<FilePath> {
    let place = || format!("templateFiles[{index}].path");
    match value {
        Some(Value::String(path)) => match FilePath::parse(&path) {
            Ok(path) => return Some(path),
            Err(error) => fields.refuse(place(), error.code(), error.to_string()),
        },
        None | Some(Value::Null) => fields.refuse(place(), "required", "is required"),
        Some(_) => fields.refuse(place(), "wrong_type", "must be a string"),
    }
    None
}

fn content_of(
    value: Value,
    place: impl FnOnce() -> String,
    fields: &mut Fields,
) -> Option<Arc<str>> {
    match value {
        Value::String(content) if content.contains('\0') => {
            fields.refuse(place(), "invalid_characters", "must not hold NUL");
            None
        }
        Value::String(content) => Some(content.into()),
        _ => {
            fields.refuse(place(), "wrong_type", "must be a string");
            None
        }
    }
}

/// A caller's own text inside a field's name, quoted and bounded.
fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().nth(MOST).is_none() {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{:?}", format!("{start}…"))
}

/// The hold that pays for a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct HeldSeconds {
    /// The hold.
    pub id: ReservationId,
    /// What it holds.
    pub seconds: Seconds,
}

/// The answer to a start, 202.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the wire fixes its fields")]
pub struct StartAnswer {
    /// The build.
    pub build_id: BuildId,
    /// The version it makes.
    pub version_id: VersionId,
    /// What the caller calls it.
    pub build_session_id: BuildSessionId,
    /// Where it stands.
    pub status: Status,
    /// Its place in the queue, counted from 1; 0 once it is no longer queued.
    pub queue_position: u64,
    /// The hold that pays for it.
    pub reservation: Option<HeldSeconds>,
    /// Suggestions from the prompt, by keyword.
    pub quick_suggestions: Vec<SuggestionItem>,
    /// Where to poll its events.
    pub events_url: String,
    /// Where to follow its events.
    pub stream_url: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<StartRequest, Vec<(String, &'static str)>> {
        let Value::Object(map) = body else {
            unreachable!()
        };
        let mut fields = Fields::new();
        let request = StartRequest::read(&mut ObjectReader::new(map, &mut fields));
        match fields.finish() {
            Ok(()) => Ok(request.unwrap()),
            Err(wrong) => Err(wrong
                .0
                .into_iter()
                .map(|field| (field.field.into_owned(), field.code))
                .collect()),
        }
    }

    #[test]
    fn both_forms_of_files_are_one() {
        let base = |files| json!({"projectId": "p", "prompt": "x", "templateFiles": files});
        let by_path = read(base(json!({"a": "1", "b/c": "2"}))).unwrap();
        let listed = read(base(json!([
            {"path": "b/c", "content": "2"},
            {"path": "a", "content": "1"}
        ])))
        .unwrap();
        assert_eq!(by_path, listed);
        assert_eq!(by_path.files.get("b/c"), Some("2"));
    }

    #[test]
    fn every_wrong_field_is_named_at_once_with_its_place() {
        let wrong = read(json!({
            "projectId": "p q", "prompt": "  ", "mode": "destroy", "confirmed": "yes",
            "locale": 5, "buildSessionId": "s".repeat(201), "allowConcurrent": 1,
            "metadata": [],
            "templateFiles": [
                {"path": "ok", "content": "x"}, {"path": "a/../b", "content": 1},
                {"content": "x"}, 7, {"path": "ok", "content": "y"}, {"path": "nul", "content": "\0"}
            ]
        }))
        .unwrap_err();
        let wrong: Vec<_> = wrong.iter().map(|(f, c)| (f.as_str(), *c)).collect();
        assert_eq!(
            wrong,
            [
                ("projectId", "invalid_characters"),
                ("prompt", "required"),
                ("templateFiles[1].path", "not_relative"),
                ("templateFiles[1].content", "wrong_type"),
                ("templateFiles[2].path", "required"),
                ("templateFiles[3]", "wrong_type"),
                ("templateFiles[4].path", "duplicate"),
                ("templateFiles[5].content", "invalid_characters"),
                ("metadata", "wrong_type"),
                ("mode", "unknown_value"),
                ("confirmed", "wrong_type"),
                ("locale", "wrong_type"),
                ("buildSessionId", "too_long"),
                ("allowConcurrent", "wrong_type"),
            ]
        );
    }

    #[test]
    fn a_path_as_a_key_stands_in_the_field_name_and_a_long_one_is_cut() {
        let wrong = read(json!({
            "projectId": "p", "prompt": "x",
            "templateFiles": {"a/../b": "x", "n": null, "z".repeat(1000): "x"}
        }))
        .unwrap_err();
        assert_eq!(
            wrong[0],
            ("templateFiles[\"a/../b\"]".into(), "not_relative")
        );
        assert_eq!(wrong[1], ("templateFiles[\"n\"]".into(), "wrong_type"));
        assert_eq!(wrong[2].1, "too_long");
        assert!(wrong[2].0.len() < 120);
    }

    #[test]
    fn a_file_is_no_folder_of_another() {
        let clash = |files| {
            let body = json!({"projectId": "p", "prompt": "x", "templateFiles": files});
            read(body).map(|_| ()).unwrap_err()
        };
        let told = [("templateFiles[\"a/b/c\"]".to_owned(), "not_a_folder")];
        // `a-` sorts between the two.
        assert_eq!(clash(json!({"a": "", "a-": "", "a/b/c": ""})), told);
        let listed = json!([
            {"path": "a/b/c", "content": ""}, {"path": "a/b", "content": ""}
        ]);
        assert_eq!(clash(listed), told);
        let fine = json!({"projectId": "p", "prompt": "x",
            "templateFiles": {"a/b": "", "a/c": "", "ab": "", "a-": ""}});
        assert!(read(fine).is_ok());
    }

    #[test]
    fn null_is_absent_and_unknown_fields_are_ignored() {
        let request = read(json!({
            "projectId": "p", "prompt": "x", "templateFiles": null, "mode": null, "other": [1]
        }))
        .unwrap();
        assert!(request.files.is_empty() && request.mode.is_none());
    }
}
