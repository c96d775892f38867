//! The pairs, and what was wrong with them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;

use zeroize::{Zeroize, Zeroizing};

use crate::secret::{Secret, SecretError};

/// The variables a service is given, and the problems found while they are read.
///
/// It keeps the values until it is dropped and wipes them then; `Debug` shows names alone.
pub struct Variables {
    values: BTreeMap<OsString, OsString>,
    /// What was read as a secret: no public variable may hold it.
    secrets: Vec<Zeroizing<Vec<u8>>>,
    problems: Vec<Problem>,
}

/// What is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Its name.
    pub variable: String,
    /// What is wanted, without its value.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// Everything that is wrong with the settings, at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct SettingsError(Vec<Problem>);

impl SettingsError {
    /// The problems, in the order in which the variables were read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Variables {
    /// Variables from pairs, as from `std::env::vars_os()`. Of a name given twice the last counts.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            values,
            secrets: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Notes a problem. `message` must not hold the value.
    pub fn refuse(&mut self, variable: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            variable: variable.into(),
            message: message.into(),
        });
    }

    /// The value as text, without the spaces around it; none when it is unset, empty or not UTF-8.
    pub fn text(&mut self, name: &str) -> Option<&str> {
        let value = self.values.get(std::ffi::OsStr::new(name))?;
        match value.to_str() {
            Some(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            None => {
                self.problems.push(Problem {
                    variable: name.to_owned(),
                    message: "must be UTF-8".to_owned(),
                });
                None
            }
        }
    }

    /// The value as `read` makes it; `wanted` completes «must be …» where it makes nothing.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.text(name)?);
        if value.is_none() {
            self.refuse(name, format!("must be {wanted}"));
        }
        value
    }

    /// A whole number within `range`, or `default`.
    pub fn number(&mut self, name: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(name, &wanted, |text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse()
                .ok()
                .filter(|number| digits && range.contains(number))
        })
        .unwrap_or(default)
    }

    /// `on` or `off`.
    pub fn switch(&mut self, name: &str) -> Option<bool> {
        self.parsed(name, "on or off", |text| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    }

    /// The value as a secret.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let value = self.confidential(name)?;
        self.as_secret(name, &value)
    }

    /// A value that must not be shown though it is no key, as an address with a password in it.
    pub fn confidential(&mut self, name: &str) -> Option<Zeroizing<String>> {
        let text = Zeroizing::new(match self.text(name) {
            Some(text) => text.to_owned(),
            None => {
                self.refuse_if_empty(name);
                return None;
            }
        });
        self.keep_from_browsers(&text);
        Some(text)
    }

    /// Takes a part of a variable as a secret.
    pub(super) fn as_secret(&mut self, name: &str, text: &str) -> Option<Secret> {
        match Secret::new(text.as_bytes()) {
            Ok(secret) => {
                self.keep_from_browsers(text);
                Some(secret)
            }
            Err(SecretError { len }) => {
                let least = Secret::MIN_LEN;
                self.refuse(
                    name,
                    format!("a secret must be at least {least} bytes, this one has {len}"),
                );
                None
            }
        }
    }

    fn refuse_if_empty(&mut self, name: &str) {
        let set = self.values.get(std::ffi::OsStr::new(name));
        if set.is_some_and(|value| value.to_str().is_some_and(|text| text.trim().is_empty())) {
            self.refuse(name, "is set but empty");
        }
    }

    fn keep_from_browsers(&mut self, text: &str) {
        self.secrets.push(Zeroizing::new(text.as_bytes().to_vec()));
    }

    /// `value`, unless something was wrong. Public variables are looked at here, when every secret
    /// has been read.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn finish<T>(mut self, value: T) -> Result<T, SettingsError> {
        self.refuse_public();
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(SettingsError(std::mem::take(&mut self.problems)))
        }
    }

    fn refuse_public(&mut self) {
        let mut found = Vec::new();
        for (name, value) in &self.values {
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix("NEXT_PUBLIC_") else {
                continue;
            };
            let message = if rest.contains("SECRET") || rest.contains("WORKER") {
                "would be shipped to browsers: its name speaks of a secret or the worker"
            } else if self.is_secret(value.as_encoded_bytes()) {
                "would be shipped to browsers: its value is a secret"
            } else {
                continue;
            };
            found.push(Problem {
                variable: name.into_owned(),
                message: message.to_owned(),
            });
        }
        self.problems.append(&mut found);
    }

    fn is_secret(&self, value: &[u8]) -> bool {
        let value = value.trim_ascii();
        self.secrets.iter().any(|secret| secret.as_slice() == value)
    }
}

impl Drop for Variables {
    fn drop(&mut self) {
        for value in std::mem::take(&mut self.values).into_values() {
            value.into_encoded_bytes().zeroize();
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("names", &self.values.keys().collect::<Vec<_>>())
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}
