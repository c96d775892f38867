//! See [`sheen_fuzz::token`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(token);
