-- One row a project. Its lock puts the starts of a project in a row; owner and last build are all
-- it says. last_build_id has no index, so that a start's update of it stays within the page.
CREATE TABLE sheen.projects (
    project_id sheen.id PRIMARY KEY,
    owner_id sheen.id NOT NULL,
    last_build_id sheen.id,
    UNIQUE (project_id, owner_id)
) WITH (fillfactor = 90);

-- One narrow row a build: heartbeats rewrite it, so what the builder reads is kept apart.
CREATE TABLE sheen.builds (
    build_id sheen.id PRIMARY KEY,
    version_id sheen.id NOT NULL,
    user_id sheen.id NOT NULL,
    project_id sheen.id NOT NULL,
    session_id sheen.id NOT NULL,
    -- The order of admission. Two builds may be admitted in one millisecond.
    seq bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('create', 'update')),
    allow_concurrent boolean NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'building', 'deployed', 'failed')),
    token bigint NOT NULL CHECK (token >= 0),
    hold_id sheen.id,
    hold_seconds bigint CHECK (hold_seconds >= 0),
    reason text,
    error text,
    preview_url text,
    seconds bigint CHECK (seconds >= 0),
    claimed_by sheen.id,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    heartbeat_ms bigint,
    -- One session of a user names one build for ever.
    UNIQUE (user_id, session_id),
    -- A build belongs to its project's owner.
    FOREIGN KEY (project_id, user_id) REFERENCES sheen.projects (project_id, owner_id),
    CONSTRAINT builds_hold_whole CHECK ((hold_id IS NULL) = (hold_seconds IS NULL)),
    CONSTRAINT builds_queued_is_fresh CHECK (
        status <> 'queued' OR (token = 0 AND heartbeat_ms IS NULL AND claimed_by IS NULL)
    ),
    CONSTRAINT builds_building_is_claimed CHECK (
        status <> 'building' OR (token > 0 AND heartbeat_ms IS NOT NULL)
    ),
    CONSTRAINT builds_deployed_says_what CHECK (
        (status = 'deployed') = (preview_url IS NOT NULL)
        AND (status = 'deployed') = (seconds IS NOT NULL)
    ),
    CONSTRAINT builds_failed_says_why CHECK (
        (status = 'failed') = (reason IS NOT NULL) AND (status = 'failed') = (error IS NOT NULL)
    )
) WITH (fillfactor = 70);

-- No index names a column that a heartbeat writes, so heartbeats are heap-only updates.

-- At most one active build per project, save those that asked to run beside others.
CREATE UNIQUE INDEX builds_one_active ON sheen.builds (project_id)
    WHERE status IN ('queued', 'building') AND NOT allow_concurrent;

-- The project's active builds, and all of them for the sweep: there are never many, so their
-- deadlines need no index.
CREATE INDEX builds_active ON sheen.builds (project_id, seq)
    WHERE status IN ('queued', 'building');

CREATE INDEX builds_queue ON sheen.builds (seq) WHERE status = 'queued';

-- Written once with the build.
CREATE TABLE sheen.build_inputs (
    build_id sheen.id PRIMARY KEY REFERENCES sheen.builds ON DELETE CASCADE,
    prompt text NOT NULL,
    -- {path: content} as JSON text: jsonb cannot hold a NUL, and nothing here looks inside.
    files text NOT NULL,
    metadata text,
    locale text NOT NULL
);

-- Holds the rules of the states against whoever writes.
CREATE FUNCTION sheen.builds_guard() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'queued' THEN
            RAISE EXCEPTION 'a build begins queued' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.status NOT IN ('queued', 'building') THEN
        RAISE EXCEPTION 'nothing leaves %', OLD.status USING ERRCODE = 'check_violation';
    END IF;
    IF NOT (
        (OLD.status = 'queued' AND NEW.status IN ('building', 'failed'))
        OR (OLD.status = 'building' AND NEW.status IN ('building', 'deployed', 'failed'))
    ) THEN
        RAISE EXCEPTION 'a build cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    -- A change of state ends the right of whoever held the last token; a heartbeat keeps it.
    IF (NEW.status = OLD.status) <> (NEW.token = OLD.token) OR NEW.token < OLD.token THEN
        RAISE EXCEPTION 'the token rises with the state and only with it'
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.build_id, NEW.version_id, NEW.user_id, NEW.project_id, NEW.session_id, NEW.seq,
        NEW.kind, NEW.allow_concurrent, NEW.hold_id, NEW.hold_seconds, NEW.created_ms)
        IS DISTINCT FROM
       (OLD.build_id, OLD.version_id, OLD.user_id, OLD.project_id, OLD.session_id, OLD.seq,
        OLD.kind, OLD.allow_concurrent, OLD.hold_id, OLD.hold_seconds, OLD.created_ms)
    THEN
        RAISE EXCEPTION 'what a build was admitted as does not change'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER builds_guard BEFORE INSERT OR UPDATE ON sheen.builds
    FOR EACH ROW EXECUTE FUNCTION sheen.builds_guard();
