SELECT sheen.chat_log_expire_v1($1, $2) AS removed
