//! The settings of the example worker: the family's, and its own (wire.md §14 and §15).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sheen_auth::signature::{KeyRing, ModeError, Modes, SigningKey};
use sheen_auth::token::{ViewerTokens, derive_secret};
use sheen_axum::signature::Deprecation;
use sheen_core::entropy::Entropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::seconds::Seconds;
use sheen_core::secret::Secret;
use sheen_core::settings::{SIGNATURE_MODE, Settings, SettingsError, Variables};
use sheen_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::rollout::Rollout;

/// What the example worker is told when it starts.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// The settings of every worker. Its keys have moved to [`Self::keys`].
    pub family: Settings,
    /// The keys that verify, all of one principal; none when no secret was given.
    pub keys: Option<KeyRing>,
    /// What signs viewer tokens, the first one, and verifies them: `VIEWER_TOKEN_SECRET` as it is,
    /// so that a front end that has it may issue its own, or a secret derived from each key.
    pub viewer_secrets: Vec<Secret>,
    /// How far each key's rollout has come.
    pub modes: Modes,
    /// `SHEEN_SIGNATURE_MODE_FILE`: what says so instead, and is read again on SIGHUP.
    pub modes_file: Option<PathBuf>,
    /// What answers to v1 calls say of its end: `SHEEN_V1_SUNSET`, an RFC 3339 instant.
    pub deprecation: Deprecation,
    /// `DAILY_GIFT_SECONDS`: what every account gets each UTC day. Default 900.
    pub daily_gift: Seconds,
    /// `WELCOME_BONUS_SECONDS`: what an account gets once. Default 1800.
    pub welcome_bonus: Seconds,
    /// `SHEEN_BUILD_COMMAND`: run in each build's folder.
    pub build_command: Option<String>,
    /// `SHEEN_PREVIEW_DIR`: where sites are published. Default a temporary folder.
    pub preview_dir: Option<PathBuf>,
    /// `SHEEN_BUILDS`: builds at a time. Default 2.
    pub builds: usize,
    /// `SHEEN_READER_TIMEOUT_SECONDS`: for how long a reader may take nothing of what is sent to it
    /// before its connection is cut. Default 30.
    pub reader_timeout: Seconds,
}

/// The file that says the modes.
pub const MODE_FILE: &str = "SHEEN_SIGNATURE_MODE_FILE";
const SUNSET: &str = "SHEEN_V1_SUNSET";

/// A worker asked to run this many builds on one machine is misconfigured.
const MAX_BUILDS: u32 = 64;
/// A reader is not waited for longer than this.
const MAX_READER_TIMEOUT: u32 = 3600;
/// More seconds than this are no gift but a typing error: a year.
const MAX_GIFT: u32 = 366 * 24 * 3600;

impl WorkerSettings {
    /// Reads pairs of name and value, as from `std::env::vars_os()`.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse<N: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let mut variables = Variables::new(pairs);
        let mut family = Settings::read(&mut variables);
        let viewer_secrets = viewer_secrets(&mut family);
        let ids: Vec<KeyId> = family.keys.iter().map(|key| key.id.clone()).collect();
        let keys = read_ring(&mut variables, &mut family);
        let modes = read_modes(&mut variables, &family, &ids);
        let modes_file = variables.text(MODE_FILE).map(PathBuf::from);
        let modes = match &modes_file {
            Some(path) => read_modes_file(&mut variables, &family, path, &ids),
            None => modes,
        };
        let seconds = |variables: &mut Variables, name, default| {
            Seconds::from_u32(variables.number(name, default, 0..=MAX_GIFT))
        };
        let settings = Self {
            family,
            keys,
            viewer_secrets,
            modes,
            modes_file,
            deprecation: read_deprecation(&mut variables),
            daily_gift: seconds(&mut variables, "DAILY_GIFT_SECONDS", 900),
            welcome_bonus: seconds(&mut variables, "WELCOME_BONUS_SECONDS", 1800),
            build_command: variables.text("SHEEN_BUILD_COMMAND").map(str::to_owned),
            preview_dir: variables.text("SHEEN_PREVIEW_DIR").map(PathBuf::from),
            builds: usize::try_from(variables.number("SHEEN_BUILDS", 2, 1..=MAX_BUILDS))
                .unwrap_or(2),
            reader_timeout: Seconds::from_u32(variables.number(
                "SHEEN_READER_TIMEOUT_SECONDS",
                30,
                1..=MAX_READER_TIMEOUT,
            )),
        };
        variables.finish(settings)
    }

    /// What an operator must be told at the start, loudly: something was asked for that this
    /// worker does not do.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let family = &self.family;
        let told = [
            (
                family.redis_url.is_some() && family.database_url.is_none(),
                "REDIS_URL is set but DATABASE_URL is not: builds and credits are kept in memory, a restart forgets them",
            ),
            (
                family.database_url.is_some() && family.redis_url.is_none() && family.limits,
                "DATABASE_URL is set but REDIS_URL is not: several workers each count rate limits for themselves",
            ),
            (
                family.demo == Some(true),
                "SHEEN_DEMO is on but this worker has no demo page",
            ),
            (
                !family.limits,
                "SHEEN_LIMITS=off: NO RATE LIMITS, for load tests only",
            ),
        ];
        told.into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, text)| text)
            .collect()
    }
}

/// The variables of which one gives the worker its keys.
const KEY_VARIABLES: [&str; 2] = ["WORKER_SHARED_SECRET", "WORKER_SIGNING_KEYS"];

/// Adds a secret of this run's own to an environment that has none; gives its text too.
pub fn with_a_secret(
    mut environment: Vec<(OsString, OsString)>,
    entropy: &dyn Entropy,
) -> (Vec<(OsString, OsString)>, Option<Zeroizing<String>>) {
    if environment
        .iter()
        .any(|(name, _)| KEY_VARIABLES.iter().any(|known| name == known))
    {
        return (environment, None);
    }
    let mut bytes = Zeroizing::new([0_u8; 32]);
    entropy.fill(&mut *bytes);
    let text = Zeroizing::new(const_hex::encode(*bytes));
    environment.push((KEY_VARIABLES[0].into(), text.as_str().into()));
    (environment, Some(text))
}

fn viewer_secrets(family: &mut Settings) -> Vec<Secret> {
    if let Some(secret) = family.viewer_token_secret.take() {
        return vec![secret];
    }
    let keys = family.keys.iter().take(ViewerTokens::MAX_SECRETS);
    keys.map(|key| derive_secret(&key.secret, "viewer-token"))
        .collect()
}

fn read_ring(variables: &mut Variables, family: &mut Settings) -> Option<KeyRing> {
    let keys = std::mem::take(&mut family.keys);
    if keys.is_empty() {
        return None;
    }
    // All keys of one worker's settings are one principal (wire.md §15).
    let principal = PrincipalId::parse("settings").ok()?;
    let keys = keys
        .into_iter()
        .map(|key| SigningKey::new(key.id, principal.clone(), key.secret))
        .collect();
    match KeyRing::new(keys) {
        Ok(ring) => Some(ring),
        Err(error) => {
            variables.refuse("WORKER_SIGNING_KEYS", error.to_string());
            None
        }
    }
}

fn read_modes(variables: &mut Variables, family: &Settings, ids: &[KeyId]) -> Modes {
    let modes: Modes = match family.signature_mode.as_deref().map(str::parse) {
        None => return Modes::default(),
        Some(Ok(modes)) => modes,
        Some(Err(error)) => {
            // Not what stands there: it could be a secret set in the wrong place.
            let wanted = match error {
                ModeError::Twice(_) => "gives one key two modes".to_owned(),
                other => other.to_string(),
            };
            variables.refuse(SIGNATURE_MODE, wanted);
            return Modes::default();
        }
    };
    // A typing error would leave the key that was meant in a laxer mode than believed.
    if !modes.keys().all(|id| ids.contains(id)) {
        variables.refuse(SIGNATURE_MODE, "names a key that is not there");
    }
    modes
}

fn read_modes_file(
    variables: &mut Variables,
    family: &Settings,
    path: &Path,
    ids: &[KeyId],
) -> Modes {
    if family.signature_mode.is_some() {
        variables.refuse(
            MODE_FILE,
            format!("cannot be set beside {SIGNATURE_MODE}: move what that says into the file"),
        );
    }
    match Rollout::read(path, ids) {
        Ok(rollout) => rollout.modes(),
        Err(error) => {
            variables.refuse(MODE_FILE, error.to_string());
            Modes::default()
        }
    }
}

fn read_deprecation(variables: &mut Variables) -> Deprecation {
    let usual = Deprecation::default();
    let wanted = "an instant, as 2027-06-01T00:00:00Z";
    let sunset = variables.parsed(SUNSET, wanted, |text| Timestamp::parse_rfc3339(text).ok());
    match sunset.map(|at| usual.clone().sunset(at)) {
        None => usual,
        Some(Ok(deprecation)) => deprecation,
        Some(Err(error)) => {
            variables.refuse(SUNSET, error.to_string());
            usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheen_auth::signature::Mode;
    use sheen_core::entropy::SeededEntropy;

    const A: &str = "a-secret-of-more-than-thirty-two-bytes-A";
    const B: &str = "a-secret-of-more-than-thirty-two-bytes-B";

    #[test]
    fn nothing_set_is_the_defaults() {
        let settings = WorkerSettings::parse::<&str, &str>([]).unwrap();
        assert_eq!(settings.daily_gift, Seconds::from_u32(900));
        assert_eq!(settings.welcome_bonus, Seconds::from_u32(1800));
        assert_eq!(settings.builds, 2);
        assert!(settings.build_command.is_none() && settings.preview_dir.is_none());
        assert!(settings.keys.is_none());
        assert_eq!(settings.modes, Modes::all(Mode::Dual));
        assert_eq!(settings.warnings(), Vec::<&str>::new());
    }

    #[test]
    fn an_environment_without_keys_gets_one_for_this_run() {
        let (environment, secret) = with_a_secret(Vec::new(), &SeededEntropy::new(1));
        let secret = secret.unwrap();
        assert_eq!(secret.len(), 64);
        let settings = WorkerSettings::parse(environment.clone()).unwrap();
        assert_eq!(
            settings.keys.unwrap().signing_key().id().as_str(),
            "default"
        );
        let (same, none) = with_a_secret(environment.clone(), &SeededEntropy::new(2));
        assert_eq!((same, none), (environment, None));
        // Set to nothing is not the same as not set: something meant to give one and did not.
        let empty = vec![("WORKER_SHARED_SECRET".into(), "".into())];
        let (empty, none) = with_a_secret(empty, &SeededEntropy::new(3));
        assert!(none.is_none() && WorkerSettings::parse(empty).is_err());
    }

    #[test]
    fn everything_set_is_read() {
        let keys = format!("web:{A},ops:{B}");
        let settings = WorkerSettings::parse([
            ("WORKER_SIGNING_KEYS", keys.as_str()),
            ("SHEEN_SIGNATURE_MODE", "ops=shadow"),
            ("DAILY_GIFT_SECONDS", "0"),
            ("WELCOME_BONUS_SECONDS", "60"),
            ("SHEEN_BUILD_COMMAND", "npm run build"),
            ("SHEEN_PREVIEW_DIR", "/srv/previews"),
            ("SHEEN_BUILDS", "8"),
            ("SHEEN_LIMITS", "off"),
            ("DATABASE_URL", "postgres://db"),
            ("REDIS_URL", "redis://cache"),
        ])
        .unwrap();
        let ring = settings.keys.as_ref().unwrap();
        assert_eq!(ring.signing_key().id().as_str(), "web");
        assert_eq!(
            settings.modes.of(ring.by_id("ops").unwrap().id()),
            Mode::Shadow
        );
        assert_eq!(settings.daily_gift, Seconds::ZERO);
        assert_eq!(settings.build_command.as_deref(), Some("npm run build"));
        assert_eq!(settings.preview_dir, Some(PathBuf::from("/srv/previews")));
        assert_eq!(settings.builds, 8);
        assert_eq!(settings.warnings().len(), 1, "limits are off");
        assert_eq!(settings.viewer_secrets.len(), 2);
        let shown = format!("{settings:?}");
        assert!(!shown.contains(A) && !shown.contains(B), "{shown}");
    }

    #[test]
    fn the_familys_problems_and_its_own_come_together() {
        let error = WorkerSettings::parse([
            ("WORKER_SHARED_SECRET", "short"),
            ("SHEEN_SIGNATURE_MODE", "strict"),
            ("SHEEN_BUILDS", "0"),
            ("DAILY_GIFT_SECONDS", "15m"),
            ("WELCOME_BONUS_SECONDS", "-1"),
            ("NEXT_PUBLIC_WORKER_URL", "x"),
        ])
        .unwrap_err();
        let names: Vec<_> = error
            .problems()
            .iter()
            .map(|problem| &*problem.variable)
            .collect();
        assert_eq!(
            names,
            [
                "WORKER_SHARED_SECRET",
                "SHEEN_SIGNATURE_MODE",
                "DAILY_GIFT_SECONDS",
                "WELCOME_BONUS_SECONDS",
                "SHEEN_BUILDS",
                "NEXT_PUBLIC_WORKER_URL",
            ]
        );
    }

    #[test]
    fn the_end_of_v1_is_an_instant_after_its_deprecation() {
        let good = [("SHEEN_V1_SUNSET", "2027-06-01T00:00:00Z")];
        let settings = WorkerSettings::parse(good).unwrap();
        assert_ne!(settings.deprecation, Deprecation::default());
        for (garbage, told) in [
            ("soon", "must be an instant, as 2027-06-01T00:00:00Z"),
            (
                "2020-01-01T00:00:00Z",
                "must not be before v1 was deprecated",
            ),
        ] {
            let error = WorkerSettings::parse([("SHEEN_V1_SUNSET", garbage)]).unwrap_err();
            assert_eq!(error.problems()[0].variable, "SHEEN_V1_SUNSET");
            assert_eq!(error.problems()[0].message, told);
        }
    }

    #[test]
    fn modes_come_from_a_file_or_from_a_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let keys = format!("web:{A},ops:{B}");
        let parse = |text: &str, more: &[(&str, &str)]| {
            std::fs::write(file.path(), text).unwrap();
            let path = file.path().to_str().unwrap();
            let mut pairs = vec![("WORKER_SIGNING_KEYS", keys.as_str()), (MODE_FILE, path)];
            pairs.extend_from_slice(more);
            WorkerSettings::parse(pairs)
        };
        let settings = parse("web=enforce-v2\nops=dual latched", &[]).unwrap();
        let ops = KeyId::parse("ops").unwrap();
        assert_eq!(
            settings.modes,
            Modes::all(Mode::Dual)
                .with(KeyId::parse("web").unwrap(), Mode::EnforceV2)
                .with(ops.clone(), Mode::Dual)
                .latch(ops)
        );
        for (text, more, told) in [
            ("web=dual", &[][..], "names no mode for the key ops"),
            (
                "web=dual\nops=dual",
                &[("SHEEN_SIGNATURE_MODE", "dual")],
                "cannot be set beside SHEEN_SIGNATURE_MODE",
            ),
        ] {
            let error = parse(text, more).unwrap_err();
            assert_eq!(error.problems()[0].variable, MODE_FILE);
            assert!(error.to_string().contains(told), "{error}");
        }
        let nowhere = [
            ("WORKER_SHARED_SECRET", A),
            (MODE_FILE, "/nowhere/at/all/of/them"),
        ];
        let error = WorkerSettings::parse(nowhere).unwrap_err().to_string();
        assert!(error.contains("could not be read"), "{error}");
        assert!(!error.contains("nowhere"), "{error}");
    }

    #[test]
    fn two_keys_with_one_secret_are_told_once() {
        let keys = format!("web:{A},ops:{A}");
        let error = WorkerSettings::parse([
            ("WORKER_SIGNING_KEYS", keys.as_str()),
            ("SHEEN_SIGNATURE_MODE", "web=enforce-v2,ops=dual"),
        ])
        .unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].variable, "WORKER_SIGNING_KEYS");
        assert!(!error.to_string().contains(A), "{error}");
    }

    #[test]
    fn a_mode_for_a_key_that_is_not_there_is_refused() {
        let keys = format!("web:{A}");
        for modes in ["wbe=enforce-v2", "web=dual,web=shadow", "web=", "=dual"] {
            let pairs = [
                ("WORKER_SIGNING_KEYS", keys.as_str()),
                ("SHEEN_SIGNATURE_MODE", modes),
            ];
            let error = WorkerSettings::parse(pairs).unwrap_err();
            assert_eq!(
                error.problems()[0].variable,
                "SHEEN_SIGNATURE_MODE",
                "{modes}"
            );
        }
        let pairs = [("SHEEN_SIGNATURE_MODE", "web=dual")];
        assert!(WorkerSettings::parse(pairs).is_err());
    }
}
