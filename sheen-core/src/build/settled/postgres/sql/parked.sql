SELECT
    d.seq,
    d.attempts,
    d.error AS last_error,
    d.due_ms,
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
FROM sheen.settled_deliveries AS d
JOIN sheen.builds AS b ON b.build_id = d.build_id
WHERE d.observer = $1 AND d.parked AND d.seq > $2
ORDER BY d.seq
LIMIT $3
