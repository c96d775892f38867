WITH made AS (
    INSERT INTO sheen.event_streams (build_id, user_id, session_id, epoch)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (build_id) DO NOTHING
    RETURNING *
)
SELECT * FROM made
UNION ALL
SELECT * FROM sheen.event_streams AS s WHERE s.build_id = $1
