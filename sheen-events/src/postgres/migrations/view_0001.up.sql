-- As its reader, not as its owner: row-level security of the tables holds through it.
CREATE VIEW sheen.project_build_events WITH (security_invoker = true) AS
SELECT
    e.seq::text AS id,
    e.build_id::text AS build_id,
    e.event_type,
    e.data::json AS event_data,
    e.user_id::text AS user_id,
    to_timestamp(e.created_ms / 1000.0) AS created_at
FROM sheen.events e
WHERE e.user_visible;
