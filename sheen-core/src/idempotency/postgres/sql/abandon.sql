DELETE FROM sheen.idempotency
WHERE principal_id = $1 AND user_id = $2 AND key = $3 AND token = $4 AND status IS NULL
RETURNING token
