//! The settings of the example worker: the family's, and its own (wire.md §14 and §15).

use std::ffi::OsString;
use std::path::PathBuf;

use sheen_auth::signature::{KeyRing, ModeError, Modes, SigningKey};
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::seconds::Seconds;
use sheen_core::settings::{SIGNATURE_MODE, Settings, SettingsError, Variables};

/// What the example worker is told when it starts.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// The settings of every worker. Its keys have moved to [`Self::keys`].
    pub family: Settings,
    /// The keys that verify, all of one principal; none when no secret was given.
    pub keys: Option<KeyRing>,
    /// How far each key's rollout has come.
    pub modes: Modes,
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
}

/// A worker asked to run this many builds on one machine is misconfigured.
const MAX_BUILDS: u32 = 64;
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
        let keys = read_ring(&mut variables, &mut family);
        let modes = read_modes(&mut variables, &family, keys.as_ref());
        let seconds = |variables: &mut Variables, name, default| {
            Seconds::from_u32(variables.number(name, default, 0..=MAX_GIFT))
        };
        let settings = Self {
            family,
            keys,
            modes,
            daily_gift: seconds(&mut variables, "DAILY_GIFT_SECONDS", 900),
            welcome_bonus: seconds(&mut variables, "WELCOME_BONUS_SECONDS", 1800),
            build_command: variables.text("SHEEN_BUILD_COMMAND").map(str::to_owned),
            preview_dir: variables.text("SHEEN_PREVIEW_DIR").map(PathBuf::from),
            builds: usize::try_from(variables.number("SHEEN_BUILDS", 2, 1..=MAX_BUILDS))
                .unwrap_or(2),
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
                family.database_url.is_some(),
                "DATABASE_URL is set but this worker keeps everything in memory: a restart forgets it",
            ),
            (
                family.redis_url.is_some(),
                "REDIS_URL is set but this worker keeps everything in memory: a restart forgets it",
            ),
            (!family.limits, "SHEEN_LIMITS=off: no rate limit holds"),
            (
                self.keys.is_none(),
                "no secret is set: one was made for this run",
            ),
            (
                self.keys.is_none() && !family.addr.ip().is_loopback(),
                "SHEEN_ADDR is not a loopback address, and the secret made for this run is printed",
            ),
        ];
        told.into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, text)| text)
            .collect()
    }
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

fn read_modes(variables: &mut Variables, family: &Settings, keys: Option<&KeyRing>) -> Modes {
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
    let known = |id: &KeyId| keys.is_some_and(|keys| keys.by_id(id.as_str()).is_some());
    if !modes.keys().all(known) {
        variables.refuse(SIGNATURE_MODE, "names a key that is not there");
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheen_auth::signature::Mode;

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
        assert_eq!(settings.warnings().len(), 1);
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
        assert_eq!(settings.warnings().len(), 3);
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
