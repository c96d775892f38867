DROP FUNCTION sheen.chat_log_expire_v1;
DROP FUNCTION sheen.chat_log_record_v1;
DROP TABLE sheen.chat_log;
