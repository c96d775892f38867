SELECT
    p.project_id AS owned_id,
    p.owner_id,
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
FROM unnest($1::text[]) WITH ORDINALITY AS asked (project_id, place)
JOIN sheen.projects AS p ON p.project_id = asked.project_id
LEFT JOIN sheen.builds AS b ON b.build_id = p.last_build_id
ORDER BY asked.place
