//! The worker side of an AI app builder.
