-- Of all keys together: a key that was freed and taken again never sees a token twice. Not cached
-- by sessions, or a take-over could draw a lower one than the holder has.
CREATE SEQUENCE sheen.idempotency_token AS bigint CACHE 1;

-- One row a key. A running call has no answer, a done one has all of it.
CREATE TABLE sheen.idempotency (
    principal_id sheen.id NOT NULL,
    user_id sheen.id NOT NULL,
    key text COLLATE "C" NOT NULL CHECK (octet_length(key) <= 255 AND key ~ '^[!-~]+$'),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    token bigint NOT NULL CHECK (token > 0),
    -- Of the lease while the call runs, of the answer's life once it was done.
    ends_ms bigint NOT NULL,
    status smallint CHECK (status BETWEEN 200 AND 299),
    -- [[name, value], …] as JSON text; its escapes may take six bytes for one.
    headers text CHECK (octet_length(headers) <= 65536),
    body bytea CHECK (octet_length(body) <= 262144),
    request_id text CHECK (octet_length(request_id) <= 16384),
    PRIMARY KEY (principal_id, user_id, key),
    CONSTRAINT idempotency_answer_whole CHECK (
        (status IS NULL) = (headers IS NULL)
        AND (status IS NULL) = (body IS NULL)
        AND (status IS NULL) = (request_id IS NULL)
    )
);

-- For reaping, oldest end first.
CREATE INDEX idempotency_ends ON sheen.idempotency (ends_ms);

-- Holds the fence against whoever writes: a record changes hands only with a higher token, and
-- under one token its call stays the same and its answer is written once. The conditions are the
-- trigger's own, so that a legal write calls no function.
CREATE FUNCTION sheen.idempotency_guard() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'a record keeps its key, and under one token its call and its answer'
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER idempotency_guard BEFORE UPDATE ON sheen.idempotency
    FOR EACH ROW
    WHEN (
        (NEW.principal_id, NEW.user_id, NEW.key)
            IS DISTINCT FROM (OLD.principal_id, OLD.user_id, OLD.key)
        OR NEW.token < OLD.token
        OR (NEW.token = OLD.token AND (
            NEW.fingerprint <> OLD.fingerprint
            OR (OLD.status IS NOT NULL
                AND (NEW.status, NEW.headers, NEW.body, NEW.request_id)
                    IS DISTINCT FROM (OLD.status, OLD.headers, OLD.body, OLD.request_id))
        ))
    )
    EXECUTE FUNCTION sheen.idempotency_guard();
