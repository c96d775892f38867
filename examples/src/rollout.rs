//! How far each key has come from v1 to v2, as an operator writes it into a file that a running worker
//! reads again.
//!
//! 1. A line is `key=mode`, then `latched` to refuse v1 from the key, then `forced` to go to
//!    `enforce-v2` whatever was counted. Empty lines and what follows a `#` say nothing.
//! 2. The file names every key of the worker once: one that is forgotten would be laxer than believed.
//! 3. A file that is wrong changes nothing. What is wrong is told by its line, never by what stands
//!    there: it could be a secret in the wrong file.
//!
//! ```
//! use examples::rollout::Rollout;
//! use sheen_auth::signature::Mode;
//! use sheen_core::id::KeyId;
//! let ids = [KeyId::parse("web")?, KeyId::parse("old")?];
//! let rollout = Rollout::parse("web=enforce-v2 # since May\nold=dual latched", &ids)?;
//! assert_eq!(rollout.modes().of(&ids[0]), Mode::EnforceV2);
//! assert!(rollout.modes().is_latched(&ids[1]));
//! assert!(Rollout::parse("web=dual", &ids).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sheen_auth::signature::{Gate, Mode, ModeError, Modes, Switch, SwitchError};
use sheen_core::id::KeyId;

/// What the file says of each key, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout(Vec<Wish>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    key: KeyId,
    mode: Mode,
    latched: bool,
    how: Switch,
}

/// Why a file does not say the modes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// It is not there, not text, or this worker may not read it.
    #[error("could not be read: {0}")]
    Unreadable(io::ErrorKind),
    /// Nobody has so many keys.
    #[error("must be at most {MAX_BYTES} bytes")]
    TooLarge,
    /// A line is none.
    #[error("line {0} must be key=mode, then latched or forced where wanted")]
    Line(usize),
    /// A line names no mode.
    #[error("line {line}: the mode {wrong}")]
    Mode {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with the mode.
        wrong: ModeError,
    },
    /// A line names a key that the worker does not have.
    #[error("line {0} names a key that is not there")]
    UnknownKey(usize),
    /// A line names a key that an earlier one names.
    #[error("line {0} gives a key a second mode")]
    Twice(usize),
    /// A latch where v1 decides would let nobody in.
    #[error("line {0} latches a key in whose mode v1 decides")]
    LatchBeforeDual(usize),
    /// A key of the worker is not in the file.
    #[error("names no mode for the key {0}")]
    Missing(KeyId),
}

const MAX_BYTES: u64 = 64 * 1024;

impl Rollout {
    /// Reads the file at `path`, for a worker with the keys `ids`.
    ///
    /// # Errors
    /// When it cannot be read, or is wrong.
    pub fn read(path: &Path, ids: &[KeyId]) -> Result<Self, RolloutError> {
        let unreadable = |error: io::Error| RolloutError::Unreadable(error.kind());
        let file = File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        if read.map_err(unreadable)? as u64 > MAX_BYTES {
            return Err(RolloutError::TooLarge);
        }
        Self::parse(&text, ids)
    }

    /// What `text` says, for a worker with the keys `ids`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str, ids: &[KeyId]) -> Result<Self, RolloutError> {
        let mut wishes: Vec<Wish> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default().trim();
            if said.is_empty() {
                continue;
            }
            let wish = Wish::parse(said, at + 1)?;
            if !ids.contains(&wish.key) {
                return Err(RolloutError::UnknownKey(at + 1));
            }
            if wishes.iter().any(|other| other.key == wish.key) {
                return Err(RolloutError::Twice(at + 1));
            }
            wishes.push(wish);
        }
        let is_missing = |id: &&KeyId| wishes.iter().all(|wish| wish.key != **id);
        match ids.iter().find(is_missing) {
            Some(id) => Err(RolloutError::Missing(id.clone())),
            None => Ok(Self(wishes)),
        }
    }

    /// The modes that a worker starts with.
    #[must_use]
    pub fn modes(&self) -> Modes {
        let said = |modes: Modes, wish: &Wish| {
            let modes = modes.with(wish.key.clone(), wish.mode);
            match wish.latched {
                true => modes.latch(wish.key.clone()),
                false => modes,
            }
        };
        self.0.iter().fold(Modes::default(), said)
    }

    /// Brings the keys of `gate` to what is said here, from the next request on. A key that cannot go
    /// there stays as it is; those are told.
    #[must_use]
    pub fn apply(&self, gate: &Gate) -> Vec<(KeyId, SwitchError)> {
        let refused = |wish: &Wish| Some((wish.key.clone(), wish.apply(gate).err()?));
        self.0.iter().filter_map(refused).collect()
    }
}

impl Wish {
    fn parse(said: &str, line: usize) -> Result<Self, RolloutError> {
        let none = || RolloutError::Line(line);
        let (key, rest) = said.split_once('=').ok_or_else(none)?;
        let mut words = rest.split_whitespace();
        let mode = words.next().ok_or_else(none)?.parse();
        let mut wish = Self {
            key: KeyId::parse(key.trim()).map_err(|_| none())?,
            mode: mode.map_err(|wrong| RolloutError::Mode { line, wrong })?,
            latched: false,
            how: Switch::WhenReady,
        };
        for word in words {
            match word {
                "latched" => wish.latched = true,
                "forced" => wish.how = Switch::Forced,
                _ => return Err(none()),
            }
        }
        if wish.latched && wish.mode < Mode::Dual {
            return Err(RolloutError::LatchBeforeDual(line));
        }
        Ok(wish)
    }

    /// The latch comes off before a mode in which it cannot be, and on after one in which it can.
    fn apply(&self, gate: &Gate) -> Result<(), SwitchError> {
        if !self.latched {
            gate.unlatch(&self.key)?;
        }
        gate.switch(&self.key, self.mode, self.how)?;
        if self.latched {
            gate.latch(&self.key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use sheen_auth::replay::MemoryReplayStore;
    use sheen_auth::signature::{KeyRing, SigningKey, Verifier};
    use sheen_core::id::PrincipalId;
    use sheen_core::secret::Secret;
    use sheen_core::time::SystemClock;

    fn ids() -> Vec<KeyId> {
        ["web", "old"].map(|id| KeyId::parse(id).unwrap()).to_vec()
    }

    fn gate() -> Gate {
        let key = |id: KeyId| {
            let secret = Secret::new(format!("a secret of thirty-two bytes of {id}")).unwrap();
            SigningKey::new(id, PrincipalId::parse("web").unwrap(), secret)
        };
        let ring = KeyRing::new(ids().into_iter().map(key).collect()).unwrap();
        let clock = Arc::new(SystemClock::new());
        let replay = Arc::new(MemoryReplayStore::new(clock.clone(), 10));
        Gate::new(Verifier::new(ring, Mode::Dual), replay, clock)
    }

    fn state(gate: &Gate) -> Vec<(Mode, bool)> {
        let keys = gate.readiness().keys;
        keys.iter().map(|key| (key.mode, key.latched)).collect()
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_not_by_what_stands_there() {
        for (text, told) in [
            ("web", "line 1 must be key=mode"),
            ("\n\n=dual", "line 3 must be key=mode"),
            ("web=", "line 1 must be key=mode"),
            ("web=strict-sesame", "line 1: the mode must be v1-only"),
            ("web=dual sesame", "line 1 must be key=mode"),
            ("# x\nsesame=dual", "line 2 names a key that is not there"),
            ("web=dual\nweb=dual", "line 2 gives a key a second mode"),
            ("web=shadow latched", "line 1 latches a key"),
            ("web=dual", "names no mode for the key old"),
            ("", "names no mode for the key web"),
        ] {
            let error = Rollout::parse(text, &ids()).unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
            assert!(!error.contains("sesame"), "{error}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "#".repeat(64 * 1024 + 1)).unwrap();
        let error = Rollout::read(file.path(), &ids()).unwrap_err();
        assert!(matches!(error, RolloutError::TooLarge));
    }

    #[test]
    fn a_gate_is_brought_to_what_the_file_says_and_what_cannot_be_is_told() {
        let gate = gate();
        let apply = |text: &str| Rollout::parse(text, &ids()).unwrap().apply(&gate);
        assert_eq!(apply("web=dual latched\nold=v1-only"), []);
        assert_eq!(state(&gate), [(Mode::Dual, true), (Mode::V1Only, false)]);
        // From latched to where v1 decides, and back.
        assert_eq!(apply("web=shadow\nold=dual latched"), []);
        assert_eq!(state(&gate), [(Mode::Shadow, false), (Mode::Dual, true)]);
        // Not ready: it stays, latch and all, and the other key goes on.
        let refused = apply("web=enforce-v2 latched\nold=dual");
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0.as_str(), "web");
        assert!(matches!(refused[0].1, SwitchError::NotReady { .. }));
        assert_eq!(state(&gate), [(Mode::Shadow, false), (Mode::Dual, false)]);
        assert_eq!(apply("web=enforce-v2 forced\nold=dual"), []);
        // Said again, it is no change.
        assert_eq!(apply("web=enforce-v2\nold=dual"), []);
        assert_eq!(state(&gate)[0], (Mode::EnforceV2, false));
    }
}
