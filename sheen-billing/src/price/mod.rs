//! What work costs in AI seconds: a tier's rate, in tables that have versions (wire.md §10).
//!
//! 1. A second of work on a tier costs that tier's [`Rate`], in hundredths: 100 is one for one. The
//!    price is rounded once, up, at the quote.
//! 2. A hold keeps the tier and the version of the table it was quoted by
//!    ([`Terms`]); what was used is priced by the same, however the tables change meanwhile. A
//!    version that the book no longer has prices nothing: it fails closed.
//! 3. There is no rate of none and none below: what costs nothing is not priced.
//! 4. Seconds are shared out by [`split`] so that the parts sum to the whole.
//!
//! ```
//! use sheen_billing::account::Reserve;
//! use sheen_billing::price::{PriceBook, PriceTable, Rate, TableVersion, Tier};
//! use sheen_core::{id::{OperationId, UserId}, seconds::Seconds};
//!
//! let table = |version, premium| {
//!     let rate = Rate::from_hundredths(premium).expect("a rate above none");
//!     PriceTable::new(TableVersion::new(version), Rate::ONE, rate)
//! };
//! let book = PriceBook::new(vec![table(1, 250)])?;
//! let quoted = book.current().price(Tier::Premium, Seconds::from_u32(61))?;
//! assert_eq!(quoted.get(), 153); // 152.5, rounded up
//!
//! let mut hold = Reserve::new(UserId::parse("ada")?, OperationId::parse("build-7")?, quoted);
//! hold.terms = Some(book.terms(Tier::Premium));
//!
//! // The price rises while the build runs; the hold's own table prices it.
//! let book = PriceBook::new(vec![table(1, 250), table(2, 400)])?;
//! let terms = hold.terms.expect("set above");
//! assert_eq!(book.charge(&terms, Seconds::from_u32(40))?.get(), 100);
//! assert_eq!(book.current().price(Tier::Premium, Seconds::from_u32(40))?.get(), 160);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use sheen_core::seconds::Seconds;

use crate::account::Terms;

/// A class of models (wire.md §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire's two tiers")]
pub enum Tier {
    /// The one plan chat is always on.
    Standard,
    /// The dearer one.
    Premium,
}

impl Tier {
    /// Both, the cheaper one first.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Premium];

    /// As it stands in tables and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Premium => "premium",
        }
    }

    /// The tier of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// The version of a price table or package catalogue. A later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TableVersion(u32);

impl TableVersion {
    /// The version of that number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// AI seconds for a second of work, in hundredths; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u32);

impl Rate {
    /// One for one.
    pub const ONE: Self = Self(100);

    /// A rate of that many hundredths: 250 is two and a half. `None` of none.
    #[must_use]
    pub const fn from_hundredths(hundredths: u32) -> Option<Self> {
        match hundredths {
            0 => None,
            some => Some(Self(some)),
        }
    }

    /// The rate in hundredths.
    #[must_use]
    pub const fn hundredths(self) -> u32 {
        self.0
    }
}

/// Why something has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The book has no table of that version.
    #[error("there is no price table of version {}", .version.0)]
    UnknownVersion {
        /// The version.
        version: TableVersion,
    },
    /// The price is more than can be counted.
    #[error("the price is out of range")]
    OutOfRange,
}

/// Why tables are no book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceBookError {
    /// There is none.
    #[error("a price book needs a table")]
    Empty,
    /// More than [`PriceBook::MAX_TABLES`].
    #[error("a price book has at most {max} tables")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// A version stands twice.
    #[error("two tables have the version {}", .version.0)]
    Twice {
        /// The version.
        version: TableVersion,
    },
}

/// What a second of work costs on each tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PriceTable {
    /// Its version.
    pub version: TableVersion,
    /// On the standard tier.
    pub standard: Rate,
    /// On the premium tier.
    pub premium: Rate,
}

impl PriceTable {
    /// A table of these rates.
    #[must_use]
    pub const fn new(version: TableVersion, standard: Rate, premium: Rate) -> Self {
        Self {
            version,
            standard,
            premium,
        }
    }

    /// The rate of a tier.
    #[must_use]
    pub const fn rate(&self, tier: Tier) -> Rate {
        match tier {
            Tier::Standard => self.standard,
            Tier::Premium => self.premium,
        }
    }

    /// What `work` costs on `tier`, rounded up.
    ///
    /// # Errors
    /// When it is more than can be counted.
    pub fn price(&self, tier: Tier, work: Seconds) -> Result<Seconds, PriceError> {
        let hundredths = u128::from(work.get()) * u128::from(self.rate(tier).0);
        let seconds = u64::try_from(hundredths.div_ceil(100)).ok();
        let seconds = seconds.and_then(|seconds| Seconds::new(seconds).ok());
        seconds.ok_or(PriceError::OutOfRange)
    }

    /// The tier to work on: the one that is wanted, or the standard one where what there is to
    /// spend does not cover the premium price; with what it costs there.
    ///
    /// # Errors
    /// When the price is more than can be counted.
    pub fn route(
        &self,
        wanted: Tier,
        work: Seconds,
        to_spend: Seconds,
    ) -> Result<(Tier, Seconds), PriceError> {
        let price = self.price(wanted, work)?;
        if wanted == Tier::Standard || price <= to_spend {
            return Ok((wanted, price));
        }
        Ok((Tier::Standard, self.price(Tier::Standard, work)?))
    }
}

/// The price tables that holds may have been quoted by; the newest quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceBook {
    current: PriceTable,
    earlier: BTreeMap<TableVersion, PriceTable>,
}

impl PriceBook {
    /// The most tables there may be.
    pub const MAX_TABLES: usize = 100;

    /// A book of `tables`, of which the one with the greatest version is the current one. Keep a
    /// table for as long as a hold may live, [`Reserve::MAX_TTL`](crate::account::Reserve::MAX_TTL)
    /// and its extensions, after the next one came.
    ///
    /// # Errors
    /// When there is no table, too many, or two of one version.
    pub fn new(tables: Vec<PriceTable>) -> Result<Self, PriceBookError> {
        let max = Self::MAX_TABLES;
        if tables.len() > max {
            return Err(PriceBookError::TooMany { max });
        }
        let mut by_version = BTreeMap::new();
        for table in tables {
            let version = table.version;
            if by_version.insert(version, table).is_some() {
                return Err(PriceBookError::Twice { version });
            }
        }
        let (_, current) = by_version.pop_last().ok_or(PriceBookError::Empty)?;
        Ok(Self {
            current,
            earlier: by_version,
        })
    }

    /// The table that quotes now.
    #[must_use]
    pub const fn current(&self) -> &PriceTable {
        &self.current
    }

    /// What a hold quoted now for `tier` keeps.
    #[must_use]
    pub const fn terms(&self, tier: Tier) -> Terms {
        Terms::new(tier, self.current.version)
    }

    /// What `used` costs by the tables that its hold was quoted by.
    ///
    /// # Errors
    /// When the book has no such table, or the price is more than can be counted.
    pub fn charge(&self, terms: &Terms, used: Seconds) -> Result<Seconds, PriceError> {
        let version = terms.prices;
        let table = if self.current.version == version {
            Some(&self.current)
        } else {
            self.earlier.get(&version)
        };
        let table = table.ok_or(PriceError::UnknownVersion { version })?;
        table.price(terms.tier, used)
    }
}

/// `whole` shared out by `weights`: the parts sum to the whole, and none is a second or more away
/// from its exact share (largest remainder; of equal ones the first). Without any weight the first
/// part is all of it; without any part there is none.
///
/// ```
/// use sheen_billing::price::split;
/// use sheen_core::seconds::Seconds;
///
/// let parts = split(Seconds::from_u32(100), &[1, 1, 1]);
/// assert_eq!(parts.map(Seconds::get).collect::<Vec<_>>(), [34, 33, 33]);
/// ```
pub fn split(whole: Seconds, weights: &[u32]) -> impl Iterator<Item = Seconds> {
    parts(whole.get(), weights)
        .into_iter()
        // Each is at most the whole.
        .map(|part| Seconds::new(part).unwrap_or(Seconds::ZERO))
}

fn parts(whole: u64, weights: &[u32]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        let first = |index| if index == 0 { whole } else { 0 };
        return (0..weights.len()).map(first).collect();
    }
    let share = |weight: &u32| u128::from(whole) * u128::from(*weight);
    let mut parts: Vec<u64> = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        parts.push(u64::try_from(share(weight) / sum).unwrap_or(whole));
        remainders.push((share(weight) % sum, index));
    }
    let given: u64 = parts.iter().sum();
    remainders.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    // Fewer are missing than there are parts with a remainder.
    let missing = usize::try_from(whole - given).unwrap_or(usize::MAX);
    for (_, index) in remainders.into_iter().take(missing) {
        parts[index] += 1;
    }
    parts
}

#[cfg(test)]
mod tests;
