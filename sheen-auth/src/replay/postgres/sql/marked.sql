SELECT EXISTS (
    SELECT 1 FROM sheen.replay AS r
    WHERE r.principal_id = $1 AND r.digest = $2 AND r.until_ms >= sheen.now_ms()
) AS marked
