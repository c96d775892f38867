SELECT
    n.now_ms,
    d.day,
    d.events
FROM (SELECT sheen.now_ms() AS now_ms) AS n
LEFT JOIN (
    SELECT floor(e.created_ms / 86400000.0)::bigint AS day, count(*) AS events
    FROM sheen.events AS e
    GROUP BY 1
) AS d ON true
ORDER BY d.day
