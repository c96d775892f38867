use crate::support::Rooms;

sheen::admission_conformance!(Rooms::new().harness());
