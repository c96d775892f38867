-- What was spent: a row for each nonce, request id and mark, by its digest. A principal's rows are
-- counted in shards, and a claim locks its shard alone: with many entries to hold, claims of one
-- principal seldom wait for each other.

CREATE TABLE sheen.replay_shards (
    principal_id sheen.id,
    shard smallint CHECK (shard BETWEEN 0 AND 63),
    -- How many rows of sheen.replay name this shard.
    entries bigint NOT NULL DEFAULT 0 CHECK (entries >= 0),
    -- The latest end of a row that was removed: what ends no later may have been spent.
    floor_ms bigint NOT NULL DEFAULT -1,
    PRIMARY KEY (principal_id, shard)
);

CREATE TABLE sheen.replay (
    principal_id sheen.id,
    -- One byte for the kind, 16 of a hash.
    digest bytea CHECK (octet_length(digest) = 17),
    shard smallint NOT NULL,
    -- The last instant at which it must be known.
    until_ms bigint NOT NULL,
    PRIMARY KEY (principal_id, digest)
);

CREATE INDEX replay_ends ON sheen.replay (principal_id, shard, until_ms);

-- Takes a few rows of a shard away that ran out by p_now, the earliest end first, and counts them
-- out. The caller holds the shard's lock.
CREATE FUNCTION sheen.replay_forget_v1(
    p_principal text,
    p_shard smallint,
    p_now bigint,
    p_limit bigint
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_gone bigint;
    v_last bigint;
BEGIN
    -- By ctid, so that no plan reads the whole table. A mark that a claim in another shard is
    -- making longer is passed by.
    WITH gone AS (
        DELETE FROM sheen.replay d WHERE d.ctid = ANY (ARRAY(
            SELECT r.ctid FROM sheen.replay r
            WHERE r.principal_id = p_principal AND r.shard = p_shard AND r.until_ms < p_now
            ORDER BY r.until_ms LIMIT p_limit
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING d.until_ms
    )
    SELECT count(*), max(until_ms) INTO v_gone, v_last FROM gone;
    IF v_gone > 0 THEN
        UPDATE sheen.replay_shards s
            SET entries = s.entries - v_gone, floor_ms = greatest(s.floor_ms, v_last)
            WHERE s.principal_id = p_principal AND s.shard = p_shard;
    END IF;
    RETURN v_gone;
END
$$;

-- Spends p_digest until p_until_ms and sets p_mark, unless that is null, p_mark_life_ms long, when
-- all is as the decision took it to be: the clock, read under the shard's lock, has not passed
-- p_until_ms, nothing that ends then was forgotten, the digest is not there, and there is room in
-- p_capacity. Else hit is false, nothing is spent, and what was met comes back. Either way a few
-- rows that ran out are taken away.
CREATE FUNCTION sheen.replay_spend_v1(
    p_principal text,
    p_shard smallint,
    p_digest bytea,
    p_until_ms bigint,
    p_mark bytea,
    p_mark_life_ms bigint,
    p_capacity bigint,
    OUT hit boolean,
    OUT now_ms bigint,
    OUT floor_ms bigint,
    OUT spent boolean,
    OUT entries bigint
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_added bigint := 1;
    v_is_new boolean;
BEGIN
    PERFORM 1 FROM sheen.replay_shards s
        WHERE s.principal_id = p_principal AND s.shard = p_shard
        FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO sheen.replay_shards (principal_id, shard) VALUES (p_principal, p_shard)
            ON CONFLICT (principal_id, shard) DO UPDATE SET entries = replay_shards.entries;
    END IF;
    -- In a later statement than the lock: it may have been waited for.
    now_ms := sheen.now_ms();
    PERFORM sheen.replay_forget_v1(p_principal, p_shard, now_ms, 16);
    SELECT s.floor_ms, s.entries INTO replay_spend_v1.floor_ms, replay_spend_v1.entries
        FROM sheen.replay_shards s
        WHERE s.principal_id = p_principal AND s.shard = p_shard;
    spent := EXISTS (
        SELECT 1 FROM sheen.replay r
        WHERE r.principal_id = p_principal AND r.digest = p_digest
    );
    IF p_mark IS NOT NULL THEN
        v_added := 2;
    END IF;
    hit := NOT spent
        AND now_ms <= p_until_ms
        AND p_until_ms > floor_ms
        AND entries + v_added <= p_capacity;
    IF NOT hit THEN
        RETURN;
    END IF;

    INSERT INTO sheen.replay (principal_id, digest, shard, until_ms)
        VALUES (p_principal, p_digest, p_shard, p_until_ms);
    IF p_mark IS NOT NULL THEN
        INSERT INTO sheen.replay AS r (principal_id, digest, shard, until_ms)
            VALUES (p_principal, p_mark, p_shard, now_ms + p_mark_life_ms)
            ON CONFLICT (principal_id, digest)
            DO UPDATE SET until_ms = greatest(r.until_ms, excluded.until_ms)
            RETURNING r.xmax = 0 INTO v_is_new;
        IF NOT v_is_new THEN
            -- It is counted in the shard of its first claim.
            v_added := 1;
        END IF;
    END IF;
    UPDATE sheen.replay_shards s
        SET entries = s.entries + v_added
        WHERE s.principal_id = p_principal AND s.shard = p_shard;
END
$$;

-- Removes at most p_limit rows that ran out, of principals that do not claim any more, and says how
-- many. Shards that a claim holds at this moment are passed by.
CREATE FUNCTION sheen.replay_reap_v1(p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    -- Read before the locks, which is the safe side: what ran out by then has run out.
    v_now bigint := sheen.now_ms();
    v_shard record;
    v_reaped bigint := 0;
BEGIN
    FOR v_shard IN
        SELECT s.principal_id, s.shard FROM sheen.replay_shards s
        WHERE s.entries > 0
        ORDER BY s.principal_id, s.shard
        FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN v_reaped >= p_limit;
        v_reaped := v_reaped + sheen.replay_forget_v1(
            v_shard.principal_id, v_shard.shard, v_now, p_limit - v_reaped);
    END LOOP;
    RETURN v_reaped;
END
$$;
