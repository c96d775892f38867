WITH gone AS (
    DELETE FROM sheen.recommendations AS d WHERE d.ctid = ANY (ARRAY(
        SELECT r.ctid FROM sheen.recommendations AS r
        WHERE r.requested_ms <= sheen.now_ms() - $1 AND r.phase IN ('ready', 'failed')
        ORDER BY r.requested_ms
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) AS removed FROM gone
