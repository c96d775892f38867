#![doc = include_str!("../README.md")]

pub mod account;
pub mod estimate;
pub mod package;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod price;
