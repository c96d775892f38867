//! Starting several builds in one call: `POST /v1/builds/batch`.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::fields::{FromFields, ObjectReader};
use super::start::StartRequest;
use crate::build::BuildKind;
use crate::error::Fields;
use crate::id::OperationId;

/// Several starts (wire.md §5).
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchStartRequest {
    /// One to [`Self::MAX_BUILDS`] starts, in the order of the answer.
    pub builds: Vec<BatchMember>,
}

impl BatchStartRequest {
    /// How many builds one call may start.
    pub const MAX_BUILDS: usize = 50;
}

/// One start among several. What is wrong with it is its own outcome and no other's.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchMember {
    /// What the caller calls this start: a repeat under the same name is answered as the first was,
    /// for as long as answers are kept (24 h, wire.md §4).
    pub operation: Option<OperationId>,
    /// Whether it makes a project or changes one: `operationType`, `main_build` when left out.
    pub kind: BuildKind,
    /// What it says otherwise.
    pub start: Option<StartRequest>,
    /// What is wrong with it.
    pub wrong: Fields,
    /// SHA-256 of its JSON without white space: whether two starts say the same.
    pub sha256: [u8; 32],
}

impl FromFields for BatchStartRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let found = match body.take("builds") {
            Some(Value::Array(members)) => members,
            None => {
                body.refuse("builds", "required", "is required");
                return None;
            }
            Some(_) => {
                body.refuse("builds", "wrong_type", "must be a list of builds");
                return None;
            }
        };
        let code = match found.len() {
            0 => "too_few",
            1..=Self::MAX_BUILDS => {
                let builds = found.into_iter().map(BatchMember::read).collect();
                return Some(Self { builds });
            }
            _ => "too_many",
        };
        let message = format!("must have 1 to {} items", Self::MAX_BUILDS);
        body.refuse("builds", code, message);
        None
    }
}

impl BatchMember {
    fn read(member: Value) -> Self {
        let sha256 = Sha256::digest(member.to_string()).into();
        let mut wrong = Fields::new();
        let map = if let Value::Object(map) = member {
            map
        } else {
            wrong.refuse("builds", "wrong_type", "must be a list of objects");
            return Self {
                operation: None,
                kind: BuildKind::Create,
                start: None,
                wrong,
                sha256,
            };
        };
        let (operation, kind, start) = Self::fields(map, &mut wrong);
        Self {
            operation,
            kind,
            start,
            wrong,
            sha256,
        }
    }

    fn fields(
        map: Map<String, Value>,
        wrong: &mut Fields,
    ) -> (Option<OperationId>, BuildKind, Option<StartRequest>) {
        let mut body = ObjectReader::new(map, wrong);
        let operation = body.id("operationId");
        let kinds = [
            ("main_build", BuildKind::Create),
            ("update", BuildKind::Update),
        ];
        let kind = body.optional_one_of("operationType", &kinds);
        if body.take("userId").is_some() {
            // One of the two would have to be ignored, and it could be the wrong one.
            body.refuse("userId", "conflict", "stands beside the builds, once");
        }
        let start = StartRequest::read(&mut body);
        (operation, kind.unwrap_or(BuildKind::Create), start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<BatchStartRequest, &'static str> {
        let Value::Object(map) = body else {
            unreachable!()
        };
        let mut fields = Fields::new();
        let request = BatchStartRequest::read(&mut ObjectReader::new(map, &mut fields));
        match fields.finish() {
            Ok(()) => Ok(request.unwrap()),
            Err(wrong) => Err(wrong.0[0].code),
        }
    }

    fn member(operation: &str) -> Value {
        json!({"operationId": operation, "projectId": "p", "prompt": "x"})
    }

    #[test]
    fn a_batch_has_one_to_fifty_members() {
        assert_eq!(read(json!({})).unwrap_err(), "required");
        assert_eq!(read(json!({"builds": {}})).unwrap_err(), "wrong_type");
        assert_eq!(read(json!({"builds": []})).unwrap_err(), "too_few");
        let of = |count| json!({"builds": vec![member("o"); count]});
        assert_eq!(read(of(51)).unwrap_err(), "too_many");
        assert_eq!(read(of(50)).unwrap().builds.len(), 50);
    }

    #[test]
    fn what_is_wrong_with_a_member_is_its_own() {
        let mut update = member("o1");
        update["operationType"] = "update".into();
        let mut wrong = member("no id");
        wrong["operationType"] = "destroy".into();
        wrong["userId"] = "bob".into();
        let members = json!({"builds": [update, wrong, 7, member("o2")]});
        let mut members = read(members).unwrap().builds.into_iter();
        let mut next = || {
            let member = members.next().unwrap();
            let wrong = member
                .wrong
                .finish()
                .err()
                .map_or(Vec::new(), |wrong| wrong.0);
            let wrong: Vec<_> = wrong.iter().map(|field| field.field.to_string()).collect();
            (member.kind, member.start.is_some(), wrong)
        };
        assert_eq!(next(), (BuildKind::Update, true, vec![]));
        let names = ["operationId", "operationType", "userId"].map(str::to_owned);
        assert_eq!(next(), (BuildKind::Create, true, names.to_vec()));
        assert_eq!(next(), (BuildKind::Create, false, vec!["builds".into()]));
        assert_eq!(next(), (BuildKind::Create, true, vec![]));
    }

    #[test]
    fn members_that_say_the_same_have_one_hash() {
        let hashes = |body: Value| -> Vec<_> {
            let members = read(body).unwrap().builds.into_iter();
            members.map(|member| member.sha256).collect()
        };
        let of = hashes(json!({"builds": [member("o"), member("o"), member("p")]}));
        assert_eq!(of[0], of[1]);
        assert_ne!(of[0], of[2]);
    }
}
