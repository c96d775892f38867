//! Benchmarks: see `benches/`, and docs/performance.md for their figures.

pub mod figures;

// The code of the front page runs too; this package may use every room.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/operations.md")]
struct Operations;
