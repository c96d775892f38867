//! What lies beside the event log: conversations, the log for support, recommendations.

use sheen_core::postgres::{Migration, Migrations};

/// The tables and functions of conversations, the log for support and recommendations. They need
/// none of the event log's, nor it theirs.
pub const TALK: Migrations = Migrations::new(
    "sheen-events-talk",
    &[
        Migration::new(
            1,
            "messages",
            include_str!("migrations/talk_0001_messages.up.sql"),
            include_str!("migrations/talk_0001_messages.down.sql"),
        ),
        Migration::new(
            2,
            "chat log",
            include_str!("migrations/talk_0002_chat_log.up.sql"),
            include_str!("migrations/talk_0002_chat_log.down.sql"),
        ),
        Migration::new(
            3,
            "recommendations",
            include_str!("migrations/talk_0003_recommendations.up.sql"),
            include_str!("migrations/talk_0003_recommendations.down.sql"),
        ),
    ],
);
