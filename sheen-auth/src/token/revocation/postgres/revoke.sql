SELECT r.revoked_ms FROM sheen.revoke_v1(p_user => $1, p_keep_ms => $2) AS r (revoked_ms)
