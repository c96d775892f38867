SELECT sheen.event_retain_v1($1, $2, $3, $4, $5, $6) AS removed
