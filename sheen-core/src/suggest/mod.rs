//! Quick suggestions.
