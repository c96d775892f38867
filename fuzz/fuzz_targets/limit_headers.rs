//! See [`sheen_fuzz::limit_headers`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(limit_headers);
