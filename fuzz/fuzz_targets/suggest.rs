//! See [`sheen_fuzz::suggest`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(suggest);
