DROP TABLE sheen.idempotency;
DROP FUNCTION sheen.idempotency_guard();
DROP SEQUENCE sheen.idempotency_token;
