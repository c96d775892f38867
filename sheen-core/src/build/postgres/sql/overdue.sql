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
FROM sheen.builds AS b
CROSS JOIN (SELECT sheen.now_ms() AS now_ms) AS c
CROSS JOIN LATERAL (
    SELECT CASE b.status
        WHEN 'queued' THEN b.created_ms + $1
        ELSE b.heartbeat_ms + $2
    END AS deadline_ms
) AS d
WHERE b.status IN ('queued', 'building') AND d.deadline_ms <= c.now_ms
ORDER BY d.deadline_ms, b.seq
LIMIT $3
