SELECT
    r.hit,
    r.held,
    r.now_ms,
    (r.kept).fingerprint,
    (r.kept).token,
    (r.kept).ends_ms,
    (r.kept).status,
    (r.kept).headers,
    (r.kept).body,
    (r.kept).request_id
FROM sheen.idempotency_put_v1(
    p_principal => $1,
    p_user => $2,
    p_key => $3,
    p_seen_token => $4,
    p_seen_done => $5,
    p_seen_ends_ms => $6,
    p_not_before_ms => $7,
    p_fresh => $8,
    p_fingerprint => $9,
    p_life_ms => $10,
    p_status => $11,
    p_headers => $12,
    p_body => $13,
    p_request_id => $14
) AS r
