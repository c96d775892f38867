SELECT sheen.idempotency_reap_v1($1) AS reaped
