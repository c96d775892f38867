UPDATE raw_idempotency
SET status = $5, headers = $6, body = $7, request_id = $8,
    ends_ms = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 86400000
WHERE principal_id = $1 AND user_id = $2 AND key = $3 AND token = $4 AND status IS NULL
