-- One row a project and session. What it means, and when it changes, is decided in
-- recommend/decide.rs; version is compared by whoever writes.
CREATE TABLE sheen.recommendations (
    project_id sheen.id NOT NULL,
    session_id sheen.id NOT NULL,
    version bigint NOT NULL,
    -- The order of requests.
    place bigint NOT NULL,
    user_id sheen.id NOT NULL,
    build_id sheen.id NOT NULL,
    locale text NOT NULL,
    quick text NOT NULL CHECK (octet_length(quick) <= 32768),
    phase text NOT NULL CHECK (phase IN ('queued', 'running', 'ready', 'failed')),
    items text CHECK (octet_length(items) <= 32768),
    error text,
    attempt bigint NOT NULL CHECK (attempt > 0),
    requested_ms bigint NOT NULL,
    started_ms bigint,
    ended_ms bigint,
    told boolean NOT NULL,
    closed boolean NOT NULL,
    PRIMARY KEY (project_id, session_id),
    CONSTRAINT recommendations_running_has_begun CHECK (
        phase <> 'running' OR started_ms IS NOT NULL
    ),
    CONSTRAINT recommendations_ready_has_items CHECK ((phase = 'ready') = (items IS NOT NULL)),
    CONSTRAINT recommendations_failed_says_why CHECK ((phase = 'failed') = (error IS NOT NULL))
) WITH (fillfactor = 80);

CREATE SEQUENCE sheen.recommend_place AS bigint;

-- The last of a project; what waits or runs, in order; what began within the last minute; what may
-- still be told or closed; what is old.
CREATE INDEX recommendations_last ON sheen.recommendations (project_id, place);
CREATE INDEX recommendations_queue ON sheen.recommendations (place)
    WHERE phase IN ('queued', 'running');
CREATE INDEX recommendations_started ON sheen.recommendations (started_ms)
    WHERE started_ms IS NOT NULL;
CREATE INDEX recommendations_open ON sheen.recommendations (place) WHERE NOT closed;
CREATE INDEX recommendations_requested ON sheen.recommendations (requested_ms);

-- Whoever claims moves its version: claims stand in a row over all processes.
CREATE TABLE sheen.recommend_queue (
    queue smallint PRIMARY KEY CHECK (queue = 1),
    version bigint NOT NULL
);
INSERT INTO sheen.recommend_queue (queue, version) VALUES (1, 0);

-- Writes a record as it was decided, where it is still as the decision saw it: absent where p_seen
-- is 0, else of that version, the queue of version p_queue unless that is null. Else nothing is
-- written. p_anew gives it the last place in the order of requests.
CREATE FUNCTION sheen.recommend_put_v1(
    p_seen bigint,
    p_queue bigint,
    p_anew boolean,
    p_project text,
    p_session text,
    p_user text,
    p_build text,
    p_locale text,
    p_quick text,
    p_phase text,
    p_items text,
    p_error text,
    p_attempt bigint,
    p_requested_ms bigint,
    p_started_ms bigint,
    p_ended_ms bigint,
    p_told boolean,
    p_closed boolean
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF p_queue IS NOT NULL THEN
        UPDATE sheen.recommend_queue q SET version = q.version + 1
            WHERE q.queue = 1 AND q.version = p_queue;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    IF p_seen = 0 THEN
        INSERT INTO sheen.recommendations (
            project_id, session_id, version, place, user_id, build_id, locale, quick, phase, items,
            error, attempt, requested_ms, started_ms, ended_ms, told, closed
        ) VALUES (
            p_project, p_session, 1, nextval('sheen.recommend_place'), p_user, p_build, p_locale,
            p_quick, p_phase, p_items, p_error, p_attempt, p_requested_ms, p_started_ms, p_ended_ms,
            p_told, p_closed
        )
        ON CONFLICT (project_id, session_id) DO NOTHING;
        RETURN FOUND;
    END IF;
    UPDATE sheen.recommendations r SET
        version = r.version + 1,
        place = CASE WHEN p_anew THEN nextval('sheen.recommend_place') ELSE r.place END,
        user_id = p_user,
        build_id = p_build,
        locale = p_locale,
        quick = p_quick,
        phase = p_phase,
        items = p_items,
        error = p_error,
        attempt = p_attempt,
        requested_ms = p_requested_ms,
        started_ms = p_started_ms,
        ended_ms = p_ended_ms,
        told = p_told,
        closed = p_closed
    WHERE r.project_id = p_project AND r.session_id = p_session AND r.version = p_seen;
    RETURN FOUND;
END
$$;

-- As with messages: another role sees nothing.
ALTER TABLE sheen.recommendations ENABLE ROW LEVEL SECURITY;
ALTER TABLE sheen.recommend_queue ENABLE ROW LEVEL SECURITY;
