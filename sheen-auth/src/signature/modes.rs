//! How far each key has come from v1 to v2, and changing that while requests are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use sheen_core::id::KeyId;

use super::key::KeyRing;

/// How far a key has come on its way from v1 to v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// v1 decides, v2 is not looked at.
    V1Only,
    /// v1 decides; v2 is checked and reported, and spends nothing: that a nonce was used before is not
    /// seen.
    Shadow,
    /// Either; anything of v2 means that v2 alone decides.
    #[default]
    Dual,
    /// v2 alone.
    EnforceV2,
}

impl Mode {
    /// Every mode, from the first to the last.
    pub const ALL: [Self; 4] = [Self::V1Only, Self::Shadow, Self::Dual, Self::EnforceV2];

    /// The name as settings have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1Only => "v1-only",
            Self::Shadow => "shadow",
            Self::Dual => "dual",
            Self::EnforceV2 => "enforce-v2",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text does not say the modes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// Not a mode's name.
    #[error("must be v1-only, shadow, dual or enforce-v2")]
    Name,
    /// Not `id=mode`, or the id is not one.
    #[error("must be one mode, or id=mode pairs with commas between")]
    Pair,
    /// One key was given two modes.
    #[error("the key {0} has two modes")]
    Twice(KeyId),
    /// A mode for a key that is not in the ring: the key that was meant would keep the default.
    #[error("no key has the id {0}")]
    UnknownKey(KeyId),
    /// A latch on a key in whose mode v1 decides: nothing could get in.
    #[error("the key {0} is latched, but in its mode v1 decides")]
    LatchBeforeDual(KeyId),
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let named = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        named.ok_or(ModeError::Name)
    }
}

/// The mode of each key: `SHEEN_SIGNATURE_MODE`, one mode or `id=mode,…` (wire.md §15).
///
/// ```
/// use sheen_auth::signature::{Mode, Modes};
/// use sheen_core::id::KeyId;
/// let modes: Modes = "old=shadow,new=enforce-v2".parse()?;
/// assert_eq!(modes.of(&KeyId::parse("old")?), Mode::Shadow);
/// assert_eq!(modes.of(&KeyId::parse("third")?), Mode::Dual);
/// assert_eq!("shadow".parse::<Modes>()?.of(&KeyId::parse("old")?), Mode::Shadow);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Modes {
    default: Mode,
    by_key: BTreeMap<KeyId, Mode>,
    latched: BTreeSet<KeyId>,
}

impl Modes {
    /// One mode for every key.
    #[must_use]
    pub const fn all(mode: Mode) -> Self {
        Self {
            default: mode,
            by_key: BTreeMap::new(),
            latched: BTreeSet::new(),
        }
    }

    /// The same, but `mode` for `key`.
    #[must_use]
    pub fn with(mut self, key: KeyId, mode: Mode) -> Self {
        self.by_key.insert(key, mode);
        self
    }

    /// The mode of `key`.
    #[must_use]
    pub fn of(&self, key: &KeyId) -> Mode {
        self.by_key.get(key).copied().unwrap_or(self.default)
    }

    /// The same, with v1 from `key` refused whatever else would be taken (wire.md §1): once all its
    /// callers sign v2, no captured v1 signature counts any more.
    #[must_use]
    pub fn latch(mut self, key: KeyId) -> Self {
        self.latched.insert(key);
        self
    }

    /// Whether v1 from `key` is refused whatever its mode says.
    #[must_use]
    pub fn is_latched(&self, key: &KeyId) -> bool {
        self.latched.contains(key)
    }

    /// The keys that have a mode of their own or a latch.
    pub fn keys(&self) -> impl Iterator<Item = &KeyId> {
        self.by_key.keys().chain(&self.latched)
    }

    /// Whether these can be the modes of `ring`'s keys.
    pub(super) fn check(&self, ring: &KeyRing) -> Result<(), ModeError> {
        if let Some(stray) = self.keys().find(|key| ring.by_id(key.as_str()).is_none()) {
            return Err(ModeError::UnknownKey(stray.clone()));
        }
        match self.latched.iter().find(|key| self.of(key) < Mode::Dual) {
            Some(key) => Err(ModeError::LatchBeforeDual(key.clone())),
            None => Ok(()),
        }
    }
}

impl FromStr for Modes {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        if !text.contains('=') {
            return Ok(Self::all(text.trim().parse()?));
        }
        let mut modes = Self::default();
        for pair in text.split(',') {
            let (id, mode) = pair.trim().split_once('=').ok_or(ModeError::Pair)?;
            let id = KeyId::parse(id.trim()).map_err(|_| ModeError::Pair)?;
            if modes
                .by_key
                .insert(id.clone(), mode.trim().parse()?)
                .is_some()
            {
                return Err(ModeError::Twice(id));
            }
        }
        Ok(modes)
    }
}

/// What holds for a key at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) mode: Mode,
    pub(super) latched: bool,
}

impl Policy {
    pub(super) const DUAL: Self = Self {
        mode: Mode::Dual,
        latched: false,
    };
    const LATCH: u8 = 4;

    fn to_bits(self) -> u8 {
        let mode = match self.mode {
            Mode::V1Only => 0,
            Mode::Shadow => 1,
            Mode::Dual => 2,
            Mode::EnforceV2 => 3,
        };
        if self.latched {
            mode | Self::LATCH
        } else {
            mode
        }
    }

    fn from_bits(bits: u8) -> Self {
        Self {
            mode: Mode::ALL[usize::from(bits & 3)],
            latched: bits & Self::LATCH != 0,
        }
    }
}

/// The policies of a ring's keys, by their places; a request reads its key's once, without a lock.
#[derive(Debug)]
pub(super) struct Policies(Box<[AtomicU8]>);

impl Policies {
    pub(super) fn new(ring: &KeyRing, modes: &Modes) -> Self {
        let policy = |key: &super::SigningKey| Policy {
            mode: modes.of(key.id()),
            latched: modes.is_latched(key.id()),
        };
        let bits = ring.iter().map(|key| AtomicU8::new(policy(key).to_bits()));
        Self(bits.collect())
    }

    pub(super) fn of(&self, place: usize) -> Policy {
        Policy::from_bits(self.0[place].load(Ordering::Acquire))
    }

    /// Puts what `change` makes of the policy in its place, unless it refuses; what was there.
    pub(super) fn change<E>(
        &self,
        place: usize,
        change: impl Fn(Policy) -> Result<Policy, E>,
    ) -> Result<Policy, E> {
        let cell = &self.0[place];
        let mut bits = cell.load(Ordering::Acquire);
        loop {
            let before = Policy::from_bits(bits);
            let changed = change(before)?.to_bits();
            match cell.compare_exchange(bits, changed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(before),
                Err(other) => bits = other,
            }
        }
    }
}
