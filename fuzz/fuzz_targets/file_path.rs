//! See [`sheen_fuzz::file_path`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(file_path);
