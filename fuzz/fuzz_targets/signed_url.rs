//! See [`sheen_fuzz::signed_url`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(signed_url);
