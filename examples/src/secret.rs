//! The secret a caller signs with.

use std::ffi::OsString;

use sheen_core::secret::Secret;
use sheen_core::settings::{SettingsError, Variables};

/// Why there is no secret to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The variable is not set.
    #[error("WORKER_SHARED_SECRET must be set to the worker's secret")]
    Missing,
    /// It is set to something that is no secret.
    #[error(transparent)]
    Wrong(#[from] SettingsError),
}

/// What `WORKER_SHARED_SECRET` holds.
///
/// # Errors
/// When it is not set or too short.
pub fn shared(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Secret, SecretError> {
    const NAME: &str = "WORKER_SHARED_SECRET";
    // A caller is no worker: what else stands in its environment is not its business.
    let only = environment.into_iter().filter(|(name, _)| name == NAME);
    let mut variables = Variables::new(only);
    let secret = variables.secret(NAME);
    variables.finish(secret)?.ok_or(SecretError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Option<&str>) -> Result<Secret, SecretError> {
        let pair = value.map(|value| ("WORKER_SHARED_SECRET".into(), value.into()));
        shared(
            pair.into_iter()
                .chain([("NEXT_PUBLIC_WORKER".into(), "x".into())]),
        )
    }

    #[test]
    fn it_must_be_there_and_long_enough() {
        assert!(matches!(read(None), Err(SecretError::Missing)));
        for bad in ["", "short"] {
            assert!(
                matches!(read(Some(bad)), Err(SecretError::Wrong(_))),
                "{bad:?}"
            );
        }
        let good = "a-secret-of-more-than-thirty-two-bytes";
        assert!(read(Some(good)).unwrap().matches(good.as_bytes()));
    }
}
