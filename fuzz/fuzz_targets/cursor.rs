//! See [`sheen_fuzz::cursor`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(cursor);
