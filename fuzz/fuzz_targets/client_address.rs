//! See [`sheen_fuzz::client_address`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(client_address);
