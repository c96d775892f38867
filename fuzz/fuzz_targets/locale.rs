//! See [`sheen_fuzz::locale`].
#![cfg_attr(fuzzing, no_main)]

sheen_fuzz::target!(locale);
