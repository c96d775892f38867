SELECT s.sample_id::text AS sample_id, s.estimated, s.used
FROM sheen.estimate_samples s
WHERE s.operation = $1 AND s.size = $2
ORDER BY s.number DESC
LIMIT $3
