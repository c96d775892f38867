SELECT
    c.now_ms,
    i.fingerprint,
    i.token,
    i.ends_ms,
    i.status,
    i.headers,
    i.body,
    i.request_id
FROM (SELECT sheen.now_ms() AS now_ms) AS c
LEFT JOIN sheen.idempotency AS i ON i.principal_id = $1 AND i.user_id = $2 AND i.key = $3
