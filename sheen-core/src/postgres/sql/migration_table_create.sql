CREATE SCHEMA IF NOT EXISTS sheen;

CREATE TABLE sheen.migrations (
    crate text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (crate, version)
);
