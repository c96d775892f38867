//! The worker's settings: the family's (docs/wire.md §14) and its own (§15).

use std::ffi::OsString;
use std::path::PathBuf;

use sheen_auth::signature::Modes;
use sheen_core::entropy::Entropy;
use sheen_core::id::KeyId;
use sheen_core::seconds::Seconds;
use sheen_core::secret::Secret;
use sheen_core::settings::{SIGNATURE_MODE, Settings, SettingsError, SigningKey, Variables};
use zeroize::Zeroizing;

/// Everything the worker is told when it starts.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) settings: Settings,
    pub(crate) modes: Modes,
    pub(crate) daily_gift: Seconds,
    pub(crate) welcome_bonus: Seconds,
    pub(crate) build_command: Option<String>,
    pub(crate) preview_dir: Option<PathBuf>,
    pub(crate) builds: usize,
    /// What a build command may see of it is decided by the site builder.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

const A_WEEK: u32 = 7 * 24 * 3600;

impl Config {
    /// Reads the environment.
    pub(crate) fn parse(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let environment: Vec<_> = environment.into_iter().collect();
        let mut variables = Variables::new(environment.iter().cloned());
        let settings = Settings::read(&mut variables);
        let modes = modes(&settings, &mut variables);
        let seconds = |number| Seconds::from_u32(number);
        let config = Self {
            modes,
            daily_gift: seconds(variables.number("DAILY_GIFT_SECONDS", 900, 0..=A_WEEK)),
            welcome_bonus: seconds(variables.number("WELCOME_BONUS_SECONDS", 1800, 0..=A_WEEK)),
            build_command: variables.text("SHEEN_BUILD_COMMAND").map(str::to_owned),
            preview_dir: variables.text("SHEEN_PREVIEW_DIR").map(PathBuf::from),
            builds: usize::try_from(variables.number("SHEEN_BUILDS", 2, 1..=64)).unwrap_or(2),
            settings,
            environment,
        };
        variables.finish(config)
    }

    /// The same with a secret made for this run where none was given, and that secret's text.
    pub(crate) fn with_a_secret(
        mut self,
        entropy: &dyn Entropy,
    ) -> (Self, Option<Zeroizing<String>>) {
        if !self.settings.keys.is_empty() {
            return (self, None);
        }
        let mut bytes = Zeroizing::new([0_u8; 32]);
        entropy.fill(&mut *bytes);
        let text = Zeroizing::new(const_hex::encode(*bytes));
        let made = KeyId::parse(SigningKey::DEFAULT_ID)
            .ok()
            .zip(Secret::new(text.as_bytes()).ok())
            .map(|(id, secret)| SigningKey::new(id, secret));
        self.settings.keys.extend(made);
        (self, Some(text))
    }

    /// Says what was asked for and is not in this version, so that nobody relies on it.
    pub(crate) fn warn_about_what_is_absent(&self) {
        let settings = &self.settings;
        if settings.database_url.is_some() {
            tracing::warn!("DATABASE_URL is set, but this version keeps everything in memory");
        }
        if settings.redis_url.is_some() {
            tracing::warn!("REDIS_URL is set, but this version keeps everything in memory");
        }
        if settings.demo == Some(true) {
            tracing::warn!("SHEEN_DEMO is on, but this version has no demo page");
        }
        if settings.limits {
            tracing::info!("this version has no rate limits: put a proxy that has some in front");
        } else {
            tracing::warn!("SHEEN_LIMITS=off: NO RATE LIMITS, for load tests only");
        }
    }
}

fn modes(settings: &Settings, variables: &mut Variables) -> Modes {
    let Some(text) = &settings.signature_mode else {
        return Modes::default();
    };
    let modes = match text.parse::<Modes>() {
        Ok(modes) => modes,
        Err(error) => {
            variables.refuse(SIGNATURE_MODE, error.to_string());
            return Modes::default();
        }
    };
    // With no key given the run's own is the default one.
    let known = |id: &KeyId| {
        settings.keys.iter().any(|key| key.id == *id)
            || (settings.keys.is_empty() && id.as_str() == SigningKey::DEFAULT_ID)
    };
    if let Some(unknown) = modes.keys().find(|id| !known(id)) {
        variables.refuse(
            SIGNATURE_MODE,
            format!("names the key {unknown}, which is not given"),
        );
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Config, SettingsError> {
        Config::parse(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn nothing_set_gives_the_defaults_and_a_secret_of_its_own() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.settings.addr.to_string(), "127.0.0.1:8787");
        assert_eq!(
            (config.daily_gift.get(), config.welcome_bonus.get()),
            (900, 1800)
        );
        assert_eq!(config.builds, 2);
        let (config, secret) = config.with_a_secret(&sheen_core::entropy::OsEntropy);
        assert_eq!(config.settings.keys.len(), 1);
        assert_eq!(secret.unwrap().len(), 64);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let errors = parse(&[
            ("SHEEN_SIGNATURE_MODE", "sometimes"),
            ("DAILY_GIFT_SECONDS", "-1"),
            ("SHEEN_BUILDS", "0"),
            ("SHEEN_ADDR", "nowhere"),
        ]);
        let errors = errors.unwrap_err();
        let mut names: Vec<_> = errors.problems().iter().map(|p| &*p.variable).collect();
        names.sort_unstable();
        let expected = [
            "DAILY_GIFT_SECONDS",
            "SHEEN_ADDR",
            "SHEEN_BUILDS",
            "SHEEN_SIGNATURE_MODE",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_mode_may_only_name_a_key_that_is_given() {
        let mode = [("SHEEN_SIGNATURE_MODE", "other=enforce-v2")];
        assert!(parse(&mode).is_err());
        assert!(parse(&[("SHEEN_SIGNATURE_MODE", "enforce-v2")]).is_ok());
    }
}
