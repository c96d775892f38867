//! Programs that show the family at work.
