SELECT r.removed, r.candidates
FROM sheen.event_retain_v2($1, $2, $3, $4, $5, $6) AS r
