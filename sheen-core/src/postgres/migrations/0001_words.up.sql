-- An identifier as the wire bounds it; byte order, whatever the database's locale.
CREATE DOMAIN sheen.id AS text COLLATE "C"
    CHECK (octet_length(VALUE) BETWEEN 1 AND 200 AND VALUE ~ '^[A-Za-z0-9_.:-]+$');

-- The store's clock, in milliseconds since the epoch. Read it after taking a lock, in a later
-- statement: within the locking statement it was seen stale by as long as the wait. One plain
-- expression, so that it is inlined where it is called.
CREATE FUNCTION sheen.now_ms() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;
