SELECT hit, owner_id, head, last_ms, known_seq, known_role, known_content, known_ms
FROM sheen.message_append_v1($1, $2, $3, $4, $5)
