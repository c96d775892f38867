CREATE TABLE sheen.chat_log (
    user_id sheen.id NOT NULL,
    entry_id sheen.id NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    correlation_id text COLLATE "C" NOT NULL
        CHECK (octet_length(correlation_id) <= 128 AND correlation_id ~ '^[!-~]+$'),
    kind text NOT NULL CHECK (kind IN ('asked', 'answered', 'failed')),
    text text NOT NULL CHECK (octet_length(text) <= 2048),
    project_id sheen.id,
    build_id sheen.id,
    created_ms bigint NOT NULL,
    PRIMARY KEY (user_id, entry_id)
);

-- A look-up each, newest first, and one for what is past its time.
CREATE INDEX chat_log_user ON sheen.chat_log (user_id, seq);
CREATE INDEX chat_log_build ON sheen.chat_log (build_id, seq) WHERE build_id IS NOT NULL;
CREATE INDEX chat_log_correlation ON sheen.chat_log (correlation_id, seq);
CREATE INDEX chat_log_created ON sheen.chat_log (created_ms);

-- Records an entry, or gives the one that has its user and id already.
CREATE FUNCTION sheen.chat_log_record_v1(
    p_user text,
    p_id text,
    p_correlation text,
    p_kind text,
    p_text text,
    p_project text,
    p_build text
) RETURNS SETOF sheen.chat_log
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RETURN QUERY INSERT INTO sheen.chat_log AS c
        (user_id, entry_id, correlation_id, kind, text, project_id, build_id, created_ms)
        VALUES
        (p_user, p_id, p_correlation, p_kind, p_text, p_project, p_build, sheen.now_ms())
        ON CONFLICT (user_id, entry_id) DO NOTHING
        RETURNING c.*;
    IF NOT FOUND THEN
        RETURN QUERY SELECT c.* FROM sheen.chat_log c
            WHERE c.user_id = p_user AND c.entry_id = p_id;
    END IF;
END
$$;

-- Removes at most p_limit entries older than p_age_ms, the oldest first, and says how many. It
-- passes by rows that another sweep holds at this moment.
CREATE FUNCTION sheen.chat_log_expire_v1(p_age_ms bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_until bigint := sheen.now_ms() - p_age_ms;
    v_removed bigint;
BEGIN
    DELETE FROM sheen.chat_log d WHERE d.ctid = ANY (ARRAY(
        SELECT c.ctid FROM sheen.chat_log c
        WHERE c.created_ms <= v_until
        ORDER BY c.created_ms, c.seq LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    RETURN v_removed;
END
$$;

-- As with messages: another role sees nothing.
ALTER TABLE sheen.chat_log ENABLE ROW LEVEL SECURITY;
