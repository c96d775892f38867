CREATE SEQUENCE raw_token;

CREATE TABLE raw_idempotency (
    principal_id text NOT NULL,
    user_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    token bigint NOT NULL DEFAULT nextval('raw_token'),
    ends_ms bigint NOT NULL,
    status smallint,
    headers text,
    body bytea,
    request_id text,
    PRIMARY KEY (principal_id, user_id, key)
);

CREATE INDEX raw_ends ON raw_idempotency (ends_ms);
