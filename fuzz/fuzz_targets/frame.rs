//! See [`sheen_fuzz::frame`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(frame);
