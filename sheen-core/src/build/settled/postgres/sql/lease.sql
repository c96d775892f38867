SELECT
    r.attempts,
    r.lease_token,
    r.expires_ms,
    (r.build).build_id,
    (r.build).version_id,
    (r.build).user_id,
    (r.build).project_id,
    (r.build).session_id,
    (r.build).kind,
    (r.build).allow_concurrent,
    (r.build).status,
    (r.build).token,
    (r.build).hold_id,
    (r.build).hold_seconds,
    (r.build).reason,
    (r.build).error,
    (r.build).preview_url,
    (r.build).seconds,
    (r.build).created_ms,
    (r.build).updated_ms,
    (r.build).heartbeat_ms
FROM sheen.settled_lease_v1(
    p_observer => $1,
    p_worker => $2,
    p_lease_ms => $3,
    p_limit => $4
) AS r
