SELECT
    sheen.build_position_v1(b) AS queue_position,
    b.build_id,
    b.version_id,
    b.user_id,
    b.project_id,
    b.session_id,
    b.kind,
    b.allow_concurrent,
    b.status,
    b.token,
    b.hold_id,
    b.hold_seconds,
    b.reason,
    b.error,
    b.preview_url,
    b.seconds,
    b.created_ms,
    b.updated_ms,
    b.heartbeat_ms
FROM sheen.builds AS b
WHERE b.build_id = $1
