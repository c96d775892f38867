-- One row a build. An append holds its lock to the commit, so commit order is seq order.
CREATE TABLE sheen.event_streams (
    build_id sheen.id NOT NULL,
    user_id sheen.id NOT NULL,
    session_id sheen.id NOT NULL,
    epoch bigint NOT NULL CHECK (epoch BETWEEN 1 AND 9007199254740991),
    head bigint NOT NULL DEFAULT 0 CHECK (head >= 0),
    hidden_head bigint NOT NULL DEFAULT 0 CHECK (hidden_head >= 0),
    -- Stored, not derived: what retention took is known when nothing is left.
    floor bigint NOT NULL DEFAULT 0 CHECK (floor BETWEEN 0 AND head),
    last_ms bigint,
    token bigint NOT NULL DEFAULT 0 CHECK (token >= 0),
    closed boolean NOT NULL DEFAULT false,
    ended_by text,
    PRIMARY KEY (build_id)
) WITH (fillfactor = 70);

-- Visible events are numbered 1, 2, 3 …; hidden ones -1, -2, -3 …, apart from them.
CREATE TABLE sheen.events (
    build_id sheen.id NOT NULL,
    seq bigint NOT NULL,
    user_id sheen.id NOT NULL,
    user_visible boolean NOT NULL,
    event_type text COLLATE "C" NOT NULL CHECK (event_type ~ '^[a-z0-9_]{1,64}$'),
    -- JSON as text, byte for byte as it was given.
    data text NOT NULL CHECK (octet_length(data) <= 65536),
    created_ms bigint NOT NULL,
    PRIMARY KEY (build_id, seq),
    CHECK (CASE WHEN user_visible THEN seq > 0 ELSE seq < 0 END)
);

CREATE INDEX events_visible ON sheen.events (build_id, user_id, seq) WHERE user_visible;

-- For retention: rows lie on disk about as they came.
CREATE INDEX events_created ON sheen.events USING brin (created_ms);

-- Named appends, apart from the events: retention of events must not make a repeat new.
CREATE TABLE sheen.event_appends (
    build_id sheen.id NOT NULL,
    append_key text COLLATE "C" NOT NULL CHECK (octet_length(append_key) BETWEEN 1 AND 512),
    -- What it wrote: visible events after head_before up to head_after, hidden ones likewise.
    head_before bigint NOT NULL,
    head_after bigint NOT NULL CHECK (head_after >= head_before),
    hidden_before bigint NOT NULL,
    hidden_after bigint NOT NULL CHECK (hidden_after >= hidden_before),
    created_ms bigint NOT NULL,
    PRIMARY KEY (build_id, append_key)
);

-- An event stays as it was written.
CREATE FUNCTION sheen.events_guard() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event is never changed' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER events_guard BEFORE UPDATE ON sheen.events
    FOR EACH STATEMENT EXECUTE FUNCTION sheen.events_guard();

-- A stream's numbers only grow within one epoch, and what is closed stays so.
CREATE FUNCTION sheen.event_streams_guard() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'a stream keeps its build, never goes back and is never opened again'
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER event_streams_guard BEFORE UPDATE ON sheen.event_streams
    FOR EACH ROW
    WHEN (
        NEW.build_id <> OLD.build_id
        OR NEW.user_id <> OLD.user_id
        OR NEW.head < OLD.head
        OR NEW.hidden_head < OLD.hidden_head
        OR NEW.floor < OLD.floor
        OR NEW.token < OLD.token
        OR (OLD.closed AND NOT NEW.closed)
    )
    EXECUTE FUNCTION sheen.event_streams_guard();

ALTER TABLE sheen.event_streams ENABLE ROW LEVEL SECURITY;
ALTER TABLE sheen.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE sheen.event_appends ENABLE ROW LEVEL SECURITY;

-- Of a role that owns nothing here: the visible events of the user its session names, for reading.
CREATE POLICY events_of_user ON sheen.events FOR SELECT
    USING (user_visible AND user_id = current_setting('sheen.user_id', true));
