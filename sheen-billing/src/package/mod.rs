//! What to buy when seconds are missing (wire.md §§3, 6).
//!
//! 1. The recommendation is the cheapest single package that covers what is missing; of equally
//!    cheap ones the one with more seconds, then the one listed first.
//! 2. When none covers it, it is the largest package, the cheapest of equally large ones: a person
//!    may buy twice. The cheapest combination is not looked for.
//! 3. Prices are whole hundredths inside and a JSON number on the wire. Nothing here computes with
//!    floats.
//! 4. The 402 and the check name the same recommendation's fields differently, on purpose.
//!
//! ```
//! use sheen_billing::package::{Catalogue, Package, Price};
//! use sheen_core::seconds::Seconds;
//!
//! let catalogue = Catalogue::new(vec![
//!     Package::new("mini", Seconds::from_u32(3_600), Price::from_hundredths(499), "https://shop.test/mini"),
//!     Package::new("plus", Seconds::from_u32(36_000), Price::from_hundredths(2_900), "https://shop.test/plus"),
//! ])?;
//! let package = catalogue.recommend(Seconds::from_u32(120)).expect("a catalogue of two");
//! assert_eq!(
//!     serde_json::to_string(&package.recommendation())?,
//!     r#"{"package":"mini","seconds":3600,"cost":4.99,"purchaseUrl":"https://shop.test/mini"}"#,
//! );
//! assert_eq!(
//!     serde_json::to_string(&package.suggestion())?,
//!     r#"{"suggestedPackage":"mini","costToComplete":4.99,"purchaseUrl":"https://shop.test/mini"}"#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cmp::Reverse;

use serde::{Serialize, Serializer};
use sheen_core::seconds::Seconds;

use crate::price::TableVersion;

/// A price in hundredths of the shop's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u32);

impl Price {
    /// A price of that many hundredths: 499 is 4.99.
    #[must_use]
    pub const fn from_hundredths(hundredths: u32) -> Self {
        Self(hundredths)
    }

    /// The price in hundredths.
    #[must_use]
    pub const fn hundredths(self) -> u32 {
        self.0
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A u32 over 100 is the double nearest to the decimal, so it prints as that decimal.
        serializer.serialize_f64(f64::from(self.0) / 100.0)
    }
}

/// Seconds that can be bought at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// Its name in the shop.
    pub name: String,
    /// How many seconds it brings, at least one.
    pub seconds: Seconds,
    /// What it costs.
    pub cost: Price,
    /// Where it is bought: an `https:` or `http:` address.
    pub purchase_url: String,
}

impl Package {
    /// `seconds` for `cost`, bought at `purchase_url`.
    pub fn new(
        name: impl Into<String>,
        seconds: Seconds,
        cost: Price,
        purchase_url: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            seconds,
            cost,
            purchase_url: purchase_url.into(),
        }
    }

    /// As the 402 says it in `data.recommendation` (wire.md §3).
    #[must_use]
    pub fn recommendation(&self) -> Recommendation<'_> {
        Recommendation {
            package: &self.name,
            seconds: self.seconds,
            cost: self.cost,
            purchase_url: &self.purchase_url,
        }
    }

    /// As `check-sufficient` says it in `recommendation` (wire.md §6).
    #[must_use]
    pub fn suggestion(&self) -> Suggestion<'_> {
        Suggestion {
            suggested_package: &self.name,
            cost_to_complete: self.cost,
            purchase_url: &self.purchase_url,
        }
    }
}

/// `data.recommendation` of `INSUFFICIENT_CREDITS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Recommendation<'a> {
    /// The package's name.
    pub package: &'a str,
    /// What it brings.
    pub seconds: Seconds,
    /// What it costs.
    pub cost: Price,
    /// Where it is bought.
    pub purchase_url: &'a str,
}

/// `recommendation` of `check-sufficient`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Suggestion<'a> {
    /// The package's name.
    pub suggested_package: &'a str,
    /// What it costs.
    pub cost_to_complete: Price,
    /// Where it is bought.
    pub purchase_url: &'a str,
}

/// Why a list of packages is no catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// More than [`Catalogue::MAX_PACKAGES`].
    #[error("a catalogue has at most {max} packages")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// A name is empty, too long, or stands twice.
    #[error("package {index} needs a name of its own of 1 to 128 bytes")]
    Name {
        /// Which, from 0.
        index: usize,
    },
    /// A package brings nothing.
    #[error("package {index} brings no seconds")]
    Seconds {
        /// Which, from 0.
        index: usize,
    },
    /// An address is not one to send a person to.
    #[error("package {index} needs an http or https address of at most 2048 bytes")]
    PurchaseUrl {
        /// Which, from 0.
        index: usize,
    },
}

/// What a shop sells, and which version of it this is. An empty one recommends nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    packages: Vec<Package>,
    version: TableVersion,
}

impl Catalogue {
    /// The most packages there may be.
    pub const MAX_PACKAGES: usize = 100;

    /// A catalogue of `packages`.
    ///
    /// # Errors
    /// When there are too many, or one of them has no name of its own, no seconds, or no address
    /// to buy it at.
    pub fn new(packages: Vec<Package>) -> Result<Self, CatalogueError> {
        let max = Self::MAX_PACKAGES;
        if packages.len() > max {
            return Err(CatalogueError::TooMany { max });
        }
        for (index, package) in packages.iter().enumerate() {
            let before = packages.iter().take(index);
            let taken = before.into_iter().any(|other| other.name == package.name);
            if taken || package.name.is_empty() || package.name.len() > 128 {
                return Err(CatalogueError::Name { index });
            }
            if package.seconds.is_zero() {
                return Err(CatalogueError::Seconds { index });
            }
            if !is_web_address(&package.purchase_url) {
                return Err(CatalogueError::PurchaseUrl { index });
            }
        }
        Ok(Self {
            packages,
            version: TableVersion::default(),
        })
    }

    /// The same as version `version`: what a hold [keeps](crate::account::Terms::packages) of it.
    #[must_use]
    pub fn versioned(mut self, version: TableVersion) -> Self {
        self.version = version;
        self
    }

    /// Its version; 0 unless it was given one.
    #[must_use]
    pub const fn version(&self) -> TableVersion {
        self.version
    }

    /// The packages, as they were listed.
    #[must_use]
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// What to buy when `missing` seconds are missing; `None` only of an empty catalogue.
    #[must_use]
    pub fn recommend(&self, missing: Seconds) -> Option<&Package> {
        let covering = self
            .packages
            .iter()
            .filter(|package| package.seconds >= missing);
        covering
            .min_by_key(|package| (package.cost, Reverse(package.seconds)))
            .or_else(|| {
                let all = self.packages.iter();
                all.min_by_key(|package| (Reverse(package.seconds), package.cost))
            })
    }
}

fn is_web_address(text: &str) -> bool {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    text.len() <= 2048 && visible && rest.is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn package(name: &str, seconds: u32, cost: u32) -> Package {
        let url = format!("https://shop.test/{name}");
        Package::new(
            name,
            Seconds::from_u32(seconds),
            Price::from_hundredths(cost),
            url,
        )
    }

    fn recommended(catalogue: &Catalogue, missing: u32) -> Option<&str> {
        let package = catalogue.recommend(Seconds::from_u32(missing))?;
        Some(package.name.as_str())
    }

    #[test]
    fn the_cheapest_that_covers_is_recommended_and_else_the_largest() {
        let catalogue = Catalogue::new(vec![
            package("large", 1000, 900),
            package("offer", 600, 300),
            package("small", 100, 300),
            package("large-too", 1000, 800),
        ])
        .unwrap();
        assert_eq!(recommended(&catalogue, 1), Some("offer"));
        assert_eq!(recommended(&catalogue, 600), Some("offer"));
        assert_eq!(recommended(&catalogue, 601), Some("large-too"));
        assert_eq!(recommended(&catalogue, 1001), Some("large-too"));
        assert_eq!(recommended(&Catalogue::default(), 1), None);
    }

    #[test]
    fn a_catalogue_refuses_what_cannot_be_sold() {
        let refused = |packages| Catalogue::new(packages).unwrap_err();
        let max = Catalogue::MAX_PACKAGES;
        let many = (0..=max).map(|n| package(&n.to_string(), 1, 1)).collect();
        assert_eq!(refused(many), CatalogueError::TooMany { max });
        let twice = vec![package("a", 1, 1), package("a", 2, 2)];
        assert_eq!(refused(twice), CatalogueError::Name { index: 1 });
        let nameless = vec![package("", 1, 1)];
        assert_eq!(refused(nameless), CatalogueError::Name { index: 0 });
        let empty = vec![package("a", 0, 1)];
        assert_eq!(refused(empty), CatalogueError::Seconds { index: 0 });
        for url in [
            "",
            "javascript:alert(1)",
            "https://",
            "http://a b",
            "ftp://a",
        ] {
            let one = Package {
                purchase_url: url.to_owned(),
                ..package("a", 1, 1)
            };
            let error = CatalogueError::PurchaseUrl { index: 0 };
            assert_eq!(refused(vec![one]), error, "{url:?}");
        }
    }

    proptest! {
        #[test]
        fn m2_a_price_prints_as_its_decimal(hundredths: u32) {
            let json = serde_json::to_string(&Price::from_hundredths(hundredths)).unwrap();
            let (whole, part) = json.split_once('.').unwrap();
            let part = format!("{part:0<2}");
            prop_assert_eq!(part.len(), 2);
            let back = whole.parse::<u64>().unwrap() * 100 + part.parse::<u64>().unwrap();
            prop_assert_eq!(back, u64::from(hundredths));
        }
    }
}
