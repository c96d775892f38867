SELECT
    c.now_ms,
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
FROM (SELECT sheen.now_ms() AS now_ms) AS c
LEFT JOIN sheen.builds AS b ON b.build_id = $1
