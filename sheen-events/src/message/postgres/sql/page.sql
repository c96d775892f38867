SELECT c.owner_id, c.head, m.seq, m.message_id, m.role, m.content, m.created_ms
FROM sheen.conversations AS c
LEFT JOIN LATERAL (
    SELECT s.seq, s.message_id, s.role, s.content, s.created_ms
    FROM sheen.messages AS s
    WHERE s.project_id = c.project_id AND s.seq > $2
    ORDER BY s.seq
    LIMIT $3
) AS m ON c.owner_id = $4
WHERE c.project_id = $1
ORDER BY m.seq
