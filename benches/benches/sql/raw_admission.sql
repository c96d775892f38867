CREATE TABLE raw_keys (
    principal_id text NOT NULL,
    user_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    ends_ms bigint NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (principal_id, user_id, key)
);

CREATE TABLE raw_projects (
    project_id text PRIMARY KEY,
    owner_id text NOT NULL,
    last_build_id text
);

CREATE TABLE raw_builds (
    build_id text PRIMARY KEY,
    version_id text NOT NULL,
    user_id text NOT NULL,
    project_id text NOT NULL REFERENCES raw_projects,
    session_id text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    status text NOT NULL,
    token bigint NOT NULL,
    hold_id text NOT NULL,
    reason text,
    error text,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    UNIQUE (user_id, session_id)
);

CREATE UNIQUE INDEX raw_builds_one ON raw_builds (project_id) WHERE status IN ('queued', 'building');
CREATE INDEX raw_builds_queue ON raw_builds (seq) WHERE status = 'queued';

CREATE TABLE raw_inputs (
    build_id text PRIMARY KEY REFERENCES raw_builds,
    prompt text NOT NULL,
    files text NOT NULL
);

CREATE TABLE raw_accounts (
    user_id text PRIMARY KEY,
    last_entry bigint NOT NULL,
    available bigint NOT NULL CHECK (available >= 0),
    held bigint NOT NULL CHECK (held >= 0)
);

CREATE TABLE raw_holds (
    user_id text NOT NULL,
    reservation_id text NOT NULL,
    operation text NOT NULL,
    state text NOT NULL,
    seconds bigint NOT NULL,
    expires_ms bigint NOT NULL,
    PRIMARY KEY (user_id, reservation_id)
);

CREATE INDEX raw_holds_id ON raw_holds (reservation_id);
CREATE INDEX raw_holds_open ON raw_holds (expires_ms) WHERE state = 'open';

CREATE TABLE raw_entries (
    user_id text NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL,
    seconds bigint NOT NULL,
    reservation_id text NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (user_id, number)
);

CREATE TABLE raw_operations (
    user_id text NOT NULL,
    kind text NOT NULL,
    operation text NOT NULL,
    reservation_id text NOT NULL,
    PRIMARY KEY (user_id, kind, operation)
);

CREATE TABLE raw_streams (
    build_id text PRIMARY KEY,
    user_id text NOT NULL,
    head bigint NOT NULL,
    token bigint NOT NULL,
    closed boolean NOT NULL
);

CREATE TABLE raw_events (
    build_id text NOT NULL,
    seq bigint NOT NULL,
    user_id text NOT NULL,
    event_type text NOT NULL,
    data text NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (build_id, seq)
);

CREATE INDEX raw_events_visible ON raw_events (build_id, user_id, seq);

INSERT INTO raw_accounts VALUES ('ada', 0, 1000000000, 0);
