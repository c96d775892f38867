//! What a stranger can send, thrown at the code that reads it.
//!
//! A target is a plain function over bytes that panics when a promise is broken. libFuzzer drives
//! it with `cargo +nightly fuzz run ids /tmp/found fuzz/corpus/ids` (new inputs go to the first
//! folder), a file that broke it is shown again on stable with `cargo run --bin ids -- FILE`, and
//! ordinary tests run it over `corpus/` each time: what once broke stays there.

mod auth;
mod core;
mod events;
mod limits;
mod urls;

pub use auth::{canonical_query, signature, timestamp, token};
pub use core::{file_path, ids, locale, suggest};
pub use events::{cursor, frame};
pub use limits::{client_address, limit_headers};
pub use urls::signed_url;

/// A target by its name, which is also its program's and its corpus's.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("canonical_query", canonical_query),
    ("client_address", client_address),
    ("cursor", cursor),
    ("file_path", file_path),
    ("frame", frame),
    ("ids", ids),
    ("limit_headers", limit_headers),
    ("locale", locale),
    ("signature", signature),
    ("signed_url", signed_url),
    ("suggest", suggest),
    ("timestamp", timestamp),
    ("token", token),
];

/// The program of one target: libFuzzer's entry when fuzzing, else one that runs files.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|file| {
                $crate::$name(&std::fs::read(file)?);
                Ok(())
            })
        }
    };
}
