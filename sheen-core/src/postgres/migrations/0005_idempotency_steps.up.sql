-- The apply statements of idempotency records. They compare what the decision relied on and write
-- what was decided; the rules themselves are in idempotency/decide.rs. A changed function gets a
-- new number, so that processes of both ages run side by side.

-- What two callers of one key wait on where the first has written no row yet. Two keys that share
-- a number, one in 2^64, wait for each other needlessly and that is all.
CREATE FUNCTION sheen.idempotency_lock_v1(p_principal text, p_user text, p_key text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended(p_principal || ' ' || p_user || ' ' || p_key, 7236821870) $$;

-- Writes a record's next row, when the record is as the decision took it to be: absent where
-- p_seen_token is null, else under that token, answered or not as p_seen_done says, ending at
-- p_seen_ends_ms unless that is null, and the clock, read under the row's lock, has reached
-- p_not_before_ms unless that is null. Else hit is false, nothing is written, and the row comes
-- back as it is, with the clock. A row that begins (p_fresh) gets the next token, and is not
-- written, held being true, while a caller's own transaction is busy with the key.
CREATE FUNCTION sheen.idempotency_put_v1(
    p_principal text,
    p_user text,
    p_key text,
    p_seen_token bigint,
    p_seen_done boolean,
    p_seen_ends_ms bigint,
    p_not_before_ms bigint,
    p_fresh boolean,
    p_fingerprint bytea,
    p_life_ms bigint,
    p_status smallint,
    p_headers text,
    p_body bytea,
    p_request_id text,
    OUT hit boolean,
    OUT held boolean,
    OUT now_ms bigint,
    OUT kept sheen.idempotency
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_before bigint;
BEGIN
    hit := false;
    -- Shared: callers of this function do not keep each other off, a claim keeps them all off.
    held := p_fresh AND NOT pg_try_advisory_xact_lock_shared(
        sheen.idempotency_lock_v1(p_principal, p_user, p_key));

    IF p_seen_token IS NULL AND NOT held THEN
        v_before := sheen.now_ms();
        INSERT INTO sheen.idempotency AS i (
            principal_id, user_id, key, fingerprint, token, ends_ms,
            status, headers, body, request_id
        ) VALUES (
            p_principal, p_user, p_key, p_fingerprint, nextval('sheen.idempotency_token'),
            v_before + p_life_ms, p_status, p_headers, p_body, p_request_id
        )
        ON CONFLICT (principal_id, user_id, key) DO NOTHING
        RETURNING i.token, i.ends_ms INTO kept.token, kept.ends_ms;
        IF FOUND THEN
            hit := true;
            now_ms := sheen.now_ms();
            -- It waited for another row of the key that was then taken back: its time is now.
            IF now_ms - v_before > 1 THEN
                UPDATE sheen.idempotency i
                    SET ends_ms = idempotency_put_v1.now_ms + p_life_ms
                    WHERE i.principal_id = p_principal AND i.user_id = p_user AND i.key = p_key
                    RETURNING i.ends_ms INTO kept.ends_ms;
            END IF;
            RETURN;
        END IF;
    END IF;

    IF p_seen_token IS NULL OR held THEN
        SELECT i.* INTO kept FROM sheen.idempotency i
            WHERE i.principal_id = p_principal AND i.user_id = p_user AND i.key = p_key;
        now_ms := sheen.now_ms();
        RETURN;
    END IF;

    SELECT i.* INTO kept FROM sheen.idempotency i
        WHERE i.principal_id = p_principal AND i.user_id = p_user AND i.key = p_key
        FOR UPDATE;
    now_ms := sheen.now_ms();
    hit := kept.token IS NOT NULL
        AND kept.token = p_seen_token
        AND (kept.status IS NOT NULL) = p_seen_done
        AND (p_seen_ends_ms IS NULL OR kept.ends_ms = p_seen_ends_ms)
        AND (p_not_before_ms IS NULL OR now_ms >= p_not_before_ms);
    IF hit THEN
        UPDATE sheen.idempotency i
            SET fingerprint = coalesce(p_fingerprint, i.fingerprint),
                token = CASE WHEN p_fresh THEN nextval('sheen.idempotency_token') ELSE i.token END,
                ends_ms = idempotency_put_v1.now_ms + p_life_ms,
                status = p_status,
                headers = p_headers,
                body = p_body,
                request_id = p_request_id
            WHERE i.principal_id = p_principal AND i.user_id = p_user AND i.key = p_key
            RETURNING i.token, i.ends_ms INTO kept.token, kept.ends_ms;
    END IF;
END
$$;

-- Keeps every other caller off a key until the transaction ends, without ever waiting, and gives
-- the record as it is after that, with the clock. held is true where another caller was first.
CREATE FUNCTION sheen.idempotency_claim_v1(
    p_principal text,
    p_user text,
    p_key text,
    OUT held boolean,
    OUT now_ms bigint,
    OUT kept sheen.idempotency
)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    held := NOT pg_try_advisory_xact_lock(
        sheen.idempotency_lock_v1(p_principal, p_user, p_key));
    -- In a later statement: what its last holder committed is seen.
    SELECT i.* INTO kept FROM sheen.idempotency i
        WHERE i.principal_id = p_principal AND i.user_id = p_user AND i.key = p_key;
    now_ms := sheen.now_ms();
END
$$;

-- Removes at most p_limit rows past their end, the oldest end first, and says how many. It passes
-- by rows that a step holds at this moment.
CREATE FUNCTION sheen.idempotency_reap_v1(p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    -- Read before the locks, which is the safe side: what ended by then has ended.
    v_now bigint := sheen.now_ms();
    v_reaped bigint;
BEGIN
    -- By ctid, so that no plan can join the two halves by reading the whole table.
    DELETE FROM sheen.idempotency d WHERE d.ctid = ANY (ARRAY(
        SELECT i.ctid FROM sheen.idempotency i
        WHERE i.ends_ms <= v_now
        ORDER BY i.ends_ms LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_reaped = ROW_COUNT;
    RETURN v_reaped;
END
$$;
