//! See [`sheen_fuzz::canonical`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(canonical);
