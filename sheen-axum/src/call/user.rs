//! Which user a call names.

use serde_json::Value;
use sheen_core::error::{FieldError, Fields};
use sheen_core::id::UserId;

/// The places where a call may name its user.
#[derive(Debug, Default)]
pub(super) struct Named<'a> {
    pub(super) query: Vec<&'a str>,
    pub(super) path: Option<&'a str>,
    pub(super) body: Option<&'a Value>,
    pub(super) token: Option<&'a UserId>,
}

/// The one user that is named, `None` when none is.
///
/// # Errors
/// What is wrong with `userId`: ill-formed anywhere, or two different ones.
pub(super) fn named_user(named: &Named<'_>) -> Result<Option<UserId>, Vec<FieldError>> {
    let mut fields = Fields::new();
    let mut users: Vec<UserId> = named.token.cloned().into_iter().collect();
    for text in named.path.iter().chain(&named.query) {
        users.extend(fields.take("userId", UserId::parse(text)));
    }
    match named.body {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => users.extend(fields.take("userId", UserId::parse(text))),
        Some(_) => fields.refuse("userId", "wrong_type", "must be a string"),
    }
    if users.iter().any(|user| *user != users[0]) {
        fields.refuse("userId", "conflict", "must name one user");
    }
    match fields.finish() {
        Ok(()) => Ok(users.into_iter().next()),
        Err(error) => Err(error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        query: &[&str],
        path: Option<&str>,
        body: Option<Value>,
    ) -> Result<Option<String>, usize> {
        let named = Named {
            query: query.to_vec(),
            path,
            body: body.as_ref(),
            token: None,
        };
        named_user(&named)
            .map(|user| user.map(|user| user.to_string()))
            .map_err(|wrong| wrong.len())
    }

    #[test]
    fn the_same_user_may_stand_in_several_places_and_two_users_may_not() {
        let u = || Some(Value::from("u"));
        assert_eq!(of(&[], None, None), Ok(None));
        assert_eq!(of(&[], None, u()), Ok(Some("u".into())));
        assert_eq!(of(&["u", "u"], Some("u"), u()), Ok(Some("u".into())));
        assert_eq!(of(&["v"], None, u()), Err(1));
        assert_eq!(of(&["u", "v"], None, None), Err(1));
        assert_eq!(of(&[], Some("v"), u()), Err(1));
        assert_eq!(of(&["no id"], None, Some(Value::from(7))), Err(2));
        assert_eq!(of(&[], None, Some(Value::Null)), Ok(None));
    }
}
