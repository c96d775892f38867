SELECT r.revoked_ms FROM sheen.revocations AS r WHERE r.user_id = $1
