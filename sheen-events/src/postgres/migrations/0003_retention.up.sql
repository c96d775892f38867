-- What was removed, counted. A sharded database may distribute it by day.
CREATE TABLE sheen.event_daily_counts (
    day date NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    status text NOT NULL CHECK (status IN ('building', 'completed', 'failed')),
    user_visible boolean NOT NULL,
    events bigint NOT NULL CHECK (events > 0),
    PRIMARY KEY (day, event_type, user_visible)
);

ALTER TABLE sheen.event_daily_counts ENABLE ROW LEVEL SECURITY;

-- Counts and removes the oldest events before p_until_ms, at most p_limit, and says how many; NULL
-- when some of them would be younger than p_age_ms. Counts follow from the rows really removed, in
-- the same statement, and each stream's floor too. What p_types tell of a build is in p_statuses;
-- any other type tells p_other.
CREATE FUNCTION sheen.event_retain_v1(
    p_until_ms bigint,
    p_age_ms bigint,
    p_limit bigint,
    p_types text[],
    p_statuses text[],
    p_other text
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_builds text[];
    v_seqs bigint[];
    v_removed bigint;
BEGIN
    IF p_until_ms > sheen.now_ms() - p_age_ms THEN
        RETURN NULL;
    END IF;
    -- The oldest of all streams are the oldest of each: instants grow with seq.
    SELECT array_agg(o.build_id::text), array_agg(o.seq) INTO v_builds, v_seqs
    FROM (
        SELECT e.build_id, e.seq FROM sheen.events e
        WHERE e.created_ms < p_until_ms
        ORDER BY e.created_ms, e.build_id
        LIMIT p_limit
    ) AS o;
    IF v_builds IS NULL THEN
        RETURN 0;
    END IF;
    -- In one order, so that runs that meet wait and do not deadlock. What another took meanwhile
    -- is not removed here, and not counted.
    PERFORM 1 FROM sheen.event_streams s
        WHERE s.build_id = ANY (v_builds)
        ORDER BY s.build_id
        FOR UPDATE;
    WITH gone AS (
        DELETE FROM sheen.events e
        USING unnest(v_builds, v_seqs) AS o (build_id, seq)
        WHERE e.build_id = o.build_id AND e.seq = o.seq
        RETURNING e.build_id, e.seq, e.user_visible, e.event_type, e.created_ms
    ),
    counted AS (
        INSERT INTO sheen.event_daily_counts AS c
            (day, event_type, status, user_visible, events)
        SELECT
            date '1970-01-01' + floor(g.created_ms / 86400000.0)::int AS day,
            g.event_type,
            coalesce(p_statuses[array_position(p_types, g.event_type)], p_other),
            g.user_visible,
            count(*)
        FROM gone g
        GROUP BY 1, 2, 3, 4
        ORDER BY 1, 2, 4
        ON CONFLICT (day, event_type, user_visible)
            DO UPDATE SET events = c.events + excluded.events
    ),
    reached AS (
        SELECT
            g.build_id,
            max(g.seq) FILTER (WHERE g.user_visible) AS floor,
            max(g.created_ms) AS last_ms
        FROM gone g
        GROUP BY g.build_id
    ),
    floored AS (
        UPDATE sheen.event_streams s SET floor = r.floor
        FROM reached r
        WHERE s.build_id = r.build_id AND r.floor > s.floor
    ),
    -- A closed stream takes no append, so it need not know those whose events are all gone.
    forgotten AS (
        DELETE FROM sheen.event_appends a
        USING reached r, sheen.event_streams s
        WHERE a.build_id = r.build_id
            AND s.build_id = r.build_id
            AND s.closed
            AND a.created_ms + (a.head_after - a.head_before)
                + (a.hidden_after - a.hidden_before) - 1 <= r.last_ms
    )
    SELECT count(*) INTO v_removed FROM gone;
    RETURN v_removed;
END
$$;
