CREATE TABLE sheen.test_clock (now_ms bigint NOT NULL);

INSERT INTO sheen.test_clock (now_ms) VALUES (sheen.now_ms());

CREATE OR REPLACE FUNCTION sheen.now_ms() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL SAFE
AS 'SELECT now_ms FROM sheen.test_clock';
