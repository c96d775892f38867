//! See [`sheen_fuzz::ids`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(ids);
