SELECT seq, created_ms, kind, correlation_id, text, project_id, build_id
FROM sheen.chat_log_record_v1($1, $2, $3, $4, $5, $6, $7)
