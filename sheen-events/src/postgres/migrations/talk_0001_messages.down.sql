DROP FUNCTION sheen.message_append_v1;
DROP TABLE sheen.messages;
DROP FUNCTION sheen.message_guard();
DROP TABLE sheen.conversations;
