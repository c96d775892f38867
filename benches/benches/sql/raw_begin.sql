INSERT INTO raw_idempotency (principal_id, user_id, key, fingerprint, ends_ms)
VALUES ($1, $2, $3, $4, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 60000)
ON CONFLICT DO NOTHING
RETURNING token
