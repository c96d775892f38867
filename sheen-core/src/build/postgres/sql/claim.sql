SELECT
    r.prompt,
    r.files,
    r.metadata,
    r.locale,
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
FROM sheen.build_claim_v1(
    p_worker => $1,
    p_token => $2,
    p_status_after => $3,
    p_token_after => $4
) AS r
