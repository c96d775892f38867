-- Who wants to hear of settled builds, and what each of them has yet to hear.

CREATE TABLE sheen.settled_observers (
    observer sheen.id PRIMARY KEY,
    registered_ms bigint NOT NULL
);

-- One row a build and observer, from the build's end until the observer has heard of it.
CREATE TABLE sheen.settled_deliveries (
    -- A build that somebody has yet to hear of cannot be deleted.
    build_id sheen.id NOT NULL REFERENCES sheen.builds,
    observer sheen.id NOT NULL REFERENCES sheen.settled_observers ON DELETE CASCADE,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    -- Tried too often: only an operator puts it back.
    parked boolean NOT NULL DEFAULT false,
    -- How often it was leased since it was made or put back.
    attempts bigint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    token bigint NOT NULL DEFAULT 0 CHECK (token >= 0),
    -- When it may be leased; when it was parked.
    due_ms bigint NOT NULL,
    leased_by sheen.id,
    error text,
    PRIMARY KEY (build_id, observer),
    CONSTRAINT settled_parked_is_at_rest CHECK (
        NOT parked OR (leased_by IS NULL AND attempts > 0 AND error IS NOT NULL)
    )
) WITH (fillfactor = 80);

CREATE INDEX settled_due ON sheen.settled_deliveries (observer, due_ms, seq) WHERE NOT parked;

CREATE INDEX settled_parked ON sheen.settled_deliveries (observer, seq) WHERE parked;

-- A trigger, so that the end of a build and what follows from it are one write whichever step wrote
-- it: the function of an older process, a sweep, or one of another crate.
CREATE FUNCTION sheen.builds_settled() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO sheen.settled_deliveries (build_id, observer, due_ms)
        SELECT NEW.build_id, o.observer, NEW.updated_ms
        -- Under a lock, so that an observer that is being retired is waited for.
        FROM (
            SELECT s.observer FROM sheen.settled_observers s ORDER BY s.observer FOR KEY SHARE
        ) AS o;
    RETURN NULL;
END
$$;

CREATE TRIGGER builds_settled AFTER UPDATE ON sheen.builds
    FOR EACH ROW
    WHEN (OLD.status IN ('queued', 'building') AND NEW.status IN ('deployed', 'failed'))
    EXECUTE FUNCTION sheen.builds_settled();

-- Adds an observer, unless it is there or p_most are.
CREATE FUNCTION sheen.settled_register_v1(
    p_observer text,
    p_most bigint,
    OUT known boolean,
    OUT added boolean
)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    -- One registration at a time; who only reads observers does not wait.
    LOCK TABLE sheen.settled_observers IN SHARE ROW EXCLUSIVE MODE;
    SELECT count(*) FILTER (WHERE o.observer = p_observer) > 0, count(*) < p_most
        INTO known, added
        FROM sheen.settled_observers o;
    added := added AND NOT known;
    IF added THEN
        INSERT INTO sheen.settled_observers (observer, registered_ms)
            VALUES (p_observer, sheen.now_ms());
    END IF;
END
$$;

-- Removes an observer and all it has yet to hear; says how much that was, NULL when there is no
-- such observer.
CREATE FUNCTION sheen.settled_retire_v1(p_observer text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_dropped bigint;
BEGIN
    -- Waits for ends under way that found the observer; later ones wait for this.
    PERFORM 1 FROM sheen.settled_observers o WHERE o.observer = p_observer FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM sheen.settled_deliveries d WHERE d.observer = p_observer;
    GET DIAGNOSTICS v_dropped = ROW_COUNT;
    DELETE FROM sheen.settled_observers o WHERE o.observer = p_observer;
    RETURN v_dropped;
END
$$;

-- Leases what an observer may hear of now, the earliest due first; what others hold is passed by.
CREATE FUNCTION sheen.settled_lease_v1(
    p_observer text,
    p_worker text,
    p_lease_ms bigint,
    p_limit bigint,
    OUT attempts bigint,
    OUT lease_token bigint,
    OUT expires_ms bigint,
    OUT build sheen.builds
)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now bigint := sheen.now_ms();
    v_due text[];
    v_build text;
BEGIN
    v_due := ARRAY(
        SELECT d.build_id
        FROM sheen.settled_deliveries d
        WHERE d.observer = p_observer AND NOT d.parked AND d.due_ms <= v_now
        ORDER BY d.due_ms, d.seq
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    );
    FOREACH v_build IN ARRAY v_due LOOP
        UPDATE sheen.settled_deliveries d
            SET attempts = d.attempts + 1,
                token = d.token + 1,
                due_ms = v_now + p_lease_ms,
                leased_by = p_worker
            WHERE d.build_id = v_build AND d.observer = p_observer
            RETURNING d.attempts, d.token, d.due_ms INTO attempts, lease_token, expires_ms;
        SELECT b.* INTO build FROM sheen.builds b WHERE b.build_id = v_build;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Ends a lease, if it is the last one: the delivery is gone (p_heard), parked, or due again after
-- p_wait_ms. Says whether it was.
CREATE FUNCTION sheen.settled_resolve_v1(
    p_observer text,
    p_build text,
    p_token bigint,
    p_heard boolean,
    p_park boolean,
    p_wait_ms bigint,
    p_error text
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now bigint;
BEGIN
    PERFORM 1 FROM sheen.settled_deliveries d
        WHERE d.build_id = p_build AND d.observer = p_observer
            AND d.token = p_token AND d.leased_by IS NOT NULL
        FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_now := sheen.now_ms();
    IF p_heard THEN
        DELETE FROM sheen.settled_deliveries d
            WHERE d.build_id = p_build AND d.observer = p_observer;
    ELSE
        UPDATE sheen.settled_deliveries d
            SET parked = p_park,
                due_ms = v_now + p_wait_ms,
                leased_by = NULL,
                error = p_error
            WHERE d.build_id = p_build AND d.observer = p_observer;
    END IF;
    RETURN true;
END
$$;

-- Makes a parked delivery due again with all its attempts. Says whether it was parked, NULL when
-- there is none.
CREATE FUNCTION sheen.settled_put_back_v1(p_observer text, p_build text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_parked boolean;
BEGIN
    SELECT d.parked INTO v_parked FROM sheen.settled_deliveries d
        WHERE d.build_id = p_build AND d.observer = p_observer
        FOR UPDATE;
    IF v_parked THEN
        UPDATE sheen.settled_deliveries d
            SET parked = false, attempts = 0, due_ms = sheen.now_ms()
            WHERE d.build_id = p_build AND d.observer = p_observer;
    END IF;
    RETURN v_parked;
END
$$;
