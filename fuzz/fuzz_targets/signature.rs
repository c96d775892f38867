//! See [`sheen_fuzz::signature`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(signature);
