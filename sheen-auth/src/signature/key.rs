//! Keys that sign, and the ring that several of them verify from.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

use super::ids::Ids;
use crate::keyed;

/// A principal's key. Keeps the keyed HMAC state and not the secret, which is wiped at once; the
/// state is wiped when the key is dropped.
pub struct SigningKey {
    id: KeyId,
    principal: PrincipalId,
    keyed: Hmac<Sha256>,
    valid_from: Option<Timestamp>,
    retired_at: Option<Timestamp>,
}

impl SigningKey {
    /// The key `id` of `principal`.
    #[must_use]
    pub fn new(id: KeyId, principal: PrincipalId, secret: Secret) -> Self {
        let keyed = keyed(&secret);
        drop(secret);
        Self {
            id,
            principal,
            keyed,
            valid_from: None,
            retired_at: None,
        }
    }

    /// The same, taken from `from` on and until just before `until`, judged by the instant of
    /// arrival: a request stamped earlier that comes later is refused.
    #[must_use]
    pub fn valid_between(mut self, from: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        self.valid_from = from;
        self.retired_at = until;
        self
    }

    /// The key's id.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Whose key it is.
    #[must_use]
    pub const fn principal(&self) -> &PrincipalId {
        &self.principal
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= now)
            && self.retired_at.is_none_or(|until| now < until)
    }

    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// In constant time.
    #[inline]
    pub(super) fn fits(&self, parts: &[&[u8]], signature: &[u8; 32]) -> bool {
        let mut mac = self.keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.verify_slice(signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("principal", &self.principal)
            .field("secret", &"redacted")
            .finish_non_exhaustive()
    }
}

/// Why keys do not make a ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// No key at all.
    #[error("a key ring needs at least one key")]
    Empty,
    /// Two keys have one id.
    #[error("two keys have the id {0}")]
    DuplicateId(KeyId),
    /// Two keys have one secret: a call signed with the one could name the other, and so pass by
    /// its mode or its retirement.
    #[error("the keys {0} and {1} have the same secret")]
    SameSecret(KeyId, KeyId),
    /// More keys than one request could be tried against.
    #[error("the principal {0} has more than {max} keys", max = KeyRing::MAX_PER_PRINCIPAL)]
    TooManyOfOne(PrincipalId),
    /// More keys than a ring holds.
    #[error("a key ring holds at most {max} keys", max = KeyRing::MAX_KEYS)]
    TooMany,
}

/// Keys that verify; the first one signs.
///
/// A request that names no key is tried against the keys of the first key's principal, so the work
/// it causes is bounded; keys of other principals have to be named by `x-sheen-key-id`.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
    by_id: Ids,
    /// The places of the first key's principal.
    unnamed: Vec<usize>,
}

impl KeyRing {
    /// The most keys of one principal, and so the most signatures tried for one request.
    pub const MAX_PER_PRINCIPAL: usize = 4;
    /// The most keys in all.
    pub const MAX_KEYS: usize = 1024;

    /// A ring of these keys, the first of which signs.
    ///
    /// # Errors
    /// When there is none, an id or a secret comes twice, or a bound is passed.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, KeyRingError> {
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        if keys.len() > Self::MAX_KEYS {
            return Err(KeyRingError::TooMany);
        }
        let mut ids = std::collections::BTreeSet::new();
        if let Some(key) = keys.iter().find(|key| !ids.insert(&key.id)) {
            return Err(KeyRingError::DuplicateId(key.id.clone()));
        }
        let mut held = std::collections::BTreeMap::<&PrincipalId, usize>::new();
        for key in &keys {
            let count = held.entry(&key.principal).or_default();
            *count += 1;
            if *count > Self::MAX_PER_PRINCIPAL {
                return Err(KeyRingError::TooManyOfOne(key.principal.clone()));
            }
        }
        if let Some((one, other)) = same_secret(&keys) {
            return Err(KeyRingError::SameSecret(one.id.clone(), other.id.clone()));
        }
        let first = |place: &usize| keys[*place].principal == keys[0].principal;
        let unnamed = (0..keys.len()).filter(first).collect();
        Ok(Self {
            by_id: Ids::new(keys.iter().map(|key| &key.id)),
            keys,
            unnamed,
        })
    }

    /// The key that signs.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.keys[0]
    }

    /// The key with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&SigningKey> {
        self.place_of(id).map(|place| &self.keys[place])
    }

    /// Where the key with this id stands.
    pub(super) fn place_of(&self, id: &str) -> Option<usize> {
        let (place, is_its) = self.by_id.nearest(id);
        is_its.then_some(place)
    }

    /// Where the key with this id stands, or another, and which of the two.
    #[inline]
    pub(super) fn nearest(&self, id: &str) -> (usize, bool) {
        self.by_id.nearest(id)
    }

    pub(super) fn at(&self, place: usize) -> &SigningKey {
        &self.keys[place]
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// All keys, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter()
    }

    /// The places of the keys that a request without a key id is tried against.
    pub(super) fn unnamed(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let places = self.unnamed.iter().copied();
        places.filter(move |place| self.keys[*place].is_live(now))
    }
}

/// Two keys that sign alike. Each pair is compared in constant time, by what the keys sign.
fn same_secret(keys: &[SigningKey]) -> Option<(&SigningKey, &SigningKey)> {
    let signed: Vec<_> = keys.iter().map(|key| key.sign(&[])).collect();
    (1..keys.len()).find_map(|later| {
        let earlier = (0..later).position(|earlier| keys[later].fits(&[], &signed[earlier]));
        earlier.map(|earlier| (&keys[earlier], &keys[later]))
    })
}
