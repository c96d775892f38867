SELECT seq, created_ms, user_id, entry_id, kind, correlation_id, text, project_id, build_id
FROM sheen.chat_log
WHERE build_id = $1 AND seq < $2 AND created_ms > sheen.now_ms() - $3
ORDER BY seq DESC
LIMIT $4
