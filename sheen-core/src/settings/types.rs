//! The settings of every worker (wire.md §14).

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use zeroize::Zeroizing;

use super::variables::{SettingsError, Variables};
use crate::id::KeyId;
use crate::secret::Secret;

/// What a worker is told when it starts.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The keys that verify; the first one signs. Empty when none was given.
    pub keys: Vec<SigningKey>,
    /// Where to listen. Default 127.0.0.1:8787.
    pub addr: SocketAddr,
    /// What [`SIGNATURE_MODE`] says, if anything. Core does not know signatures: sheen-auth reads
    /// this text, and whoever finds it wrong says so to [`Variables::refuse`].
    pub signature_mode: Option<String>,
    /// Whether rate limits hold. Off is for load tests. Default on.
    pub limits: bool,
    /// What `SHEEN_DEMO` says, if anything; see [`Self::demo_wanted`].
    pub demo: Option<bool>,
    /// The origin that previews are served on, without a slash at its end.
    pub preview_origin: Option<String>,
    /// How many proxies in front are ours. Default 0.
    pub trusted_hops: u8,
    /// Origins whose pages may read events, without slashes at their ends.
    pub allowed_origins: Vec<String>,
    /// Where PostgreSQL is.
    pub database_url: Option<ConnectionUrl>,
    /// Where Redis is.
    pub redis_url: Option<ConnectionUrl>,
    /// Signs viewer tokens; without it the key is derived from the shared secret.
    pub viewer_token_secret: Option<Secret>,
}

/// A signing key and the name it is picked by.
#[derive(Debug)]
#[non_exhaustive]
pub struct SigningKey {
    /// What `x-sheen-key-id` says.
    pub id: KeyId,
    /// The shared secret.
    pub secret: Secret,
}

impl SigningKey {
    /// The id of the key that `WORKER_SHARED_SECRET` gives.
    pub const DEFAULT_ID: &str = "default";

    /// The key `secret`, picked by `id`.
    #[must_use]
    pub const fn new(id: KeyId, secret: Secret) -> Self {
        Self { id, secret }
    }
}

/// The variable that says how far the rollout of v2 signatures has come.
pub const SIGNATURE_MODE: &str = "SHEEN_SIGNATURE_MODE";

/// The address of a database, which may hold a password: never shown.
pub struct ConnectionUrl(Zeroizing<String>);

impl ConnectionUrl {
    /// The address, for the driver that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionUrl(redacted)")
    }
}

/// More proxies in a row than this are a mistake.
const MAX_HOPS: u32 = 16;
/// An old key, a new one and a pair for a hurried second rotation: each is tried on a call that
/// names none (failures/auth.md K4).
const MAX_KEYS: usize = 4;
/// More origins than this are a mistake.
const MAX_ORIGINS: usize = 64;

impl Settings {
    /// Reads pairs of name and value, as from `std::env::vars_os()`.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse<N: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingsError> {
        let mut variables = Variables::new(pairs);
        let settings = Self::read(&mut variables);
        variables.finish(settings)
    }

    /// Reads the family's settings from variables that a service reads its own from too. What is
    /// wrong is told by [`Variables::finish`]; until then a default stands in its place.
    pub fn read(variables: &mut Variables) -> Self {
        let keys = read_keys(variables);
        Self {
            keys,
            addr: variables
                .parsed(
                    "SHEEN_ADDR",
                    "an address and a port, as 127.0.0.1:8787",
                    |text| text.parse().ok(),
                )
                .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8787))),
            signature_mode: variables.text(SIGNATURE_MODE).map(str::to_owned),
            limits: variables.switch("SHEEN_LIMITS").unwrap_or(true),
            demo: variables.switch("SHEEN_DEMO"),
            preview_origin: variables.parsed("SHEEN_PREVIEW_ORIGIN", ORIGIN, origin),
            trusted_hops: u8::try_from(variables.number("SHEEN_TRUSTED_HOPS", 0, 0..=MAX_HOPS))
                .unwrap_or(0),
            allowed_origins: variables
                .parsed(
                    "SHEEN_ALLOWED_ORIGINS",
                    "origins, as https://a.example,https://b.example",
                    |text| {
                        let origins: Option<Vec<_>> =
                            text.split(',').map(|part| origin(part.trim())).collect();
                        origins.filter(|origins| origins.len() <= MAX_ORIGINS)
                    },
                )
                .unwrap_or_default(),
            database_url: read_url(variables, "DATABASE_URL", &["postgres", "postgresql"]),
            redis_url: read_url(
                variables,
                "REDIS_URL",
                &["redis", "rediss", "redis+unix", "unix"],
            ),
            viewer_token_secret: variables.secret("VIEWER_TOKEN_SECRET"),
        }
    }

    /// Whether the demo page is there: where it is asked for, or where nothing is said, no secret
    /// was given and only this machine can call (wire.md §2).
    #[must_use]
    pub fn demo_wanted(&self) -> bool {
        self.demo
            .unwrap_or_else(|| self.keys.is_empty() && self.addr.ip().is_loopback())
    }
}

fn read_keys(variables: &mut Variables) -> Vec<SigningKey> {
    const SHARED: &str = "WORKER_SHARED_SECRET";
    const SEVERAL: &str = "WORKER_SIGNING_KEYS";
    let shared = variables.secret(SHARED);
    let Some(list) = variables.confidential(SEVERAL) else {
        let id = KeyId::parse(SigningKey::DEFAULT_ID);
        return shared
            .zip(id.ok())
            .map(|(secret, id)| SigningKey { id, secret })
            .into_iter()
            .collect();
    };
    if shared.is_some() {
        // Which of them signs would be a guess.
        variables.refuse(
            SEVERAL,
            format!("cannot be set beside {SHARED}: add that secret to the list"),
        );
    }
    let mut keys: Vec<SigningKey> = Vec::new();
    for (at, entry) in list.split(',').map(str::trim).enumerate() {
        let place = at + 1;
        if at == MAX_KEYS {
            variables.refuse(SEVERAL, format!("must be at most {MAX_KEYS} keys"));
            break;
        }
        // The part before the colon is not shown: an entry without an id begins with its secret.
        let named = entry
            .split_once(':')
            .and_then(|(id, secret)| Some((KeyId::parse(id.trim()).ok()?, secret.trim())));
        let Some((id, secret)) = named else {
            variables.refuse(SEVERAL, format!("entry {place} must be id:secret"));
            continue;
        };
        if keys.iter().any(|key| key.id == id) {
            variables.refuse(SEVERAL, format!("entry {place} repeats an id"));
        }
        if let Some(secret) = variables.as_secret(SEVERAL, secret) {
            keys.push(SigningKey { id, secret });
        }
    }
    keys
}

fn read_url(variables: &mut Variables, name: &str, schemes: &[&str]) -> Option<ConnectionUrl> {
    let url = variables.confidential(name)?;
    let known = url
        .split_once("://")
        .is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty());
    if !known {
        variables.refuse(name, format!("must be an address, as {}://…", schemes[0]));
    }
    Some(ConnectionUrl(url))
}

const ORIGIN: &str = "an origin, as https://preview.example, without a path";

/// An origin in the form in which browsers send it: what differs from it in a letter would never
/// match.
fn origin(text: &str) -> Option<String> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let name_fits = match name.strip_prefix('[') {
        Some(address) => address
            .strip_suffix(']')?
            .parse::<std::net::Ipv6Addr>()
            .is_ok(),
        None => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        }
    };
    let port_fits =
        port.is_none_or(|port| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok());
    (name_fits && port_fits).then(|| text.to_owned())
}
