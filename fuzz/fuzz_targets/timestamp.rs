//! See [`sheen_fuzz::timestamp`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(timestamp);
