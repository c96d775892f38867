//! See [`sheen_fuzz::canonical_query`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(canonical_query);
