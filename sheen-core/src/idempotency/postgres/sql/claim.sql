SELECT
    r.held,
    r.now_ms,
    (r.kept).fingerprint,
    (r.kept).token,
    (r.kept).ends_ms,
    (r.kept).status,
    (r.kept).headers,
    (r.kept).body,
    (r.kept).request_id
FROM sheen.idempotency_claim_v1(p_principal => $1, p_user => $2, p_key => $3) AS r
