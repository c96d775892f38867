-- One row a conversation. Its lock puts the appends of a project in a row: commit order is the
-- order of seq, and a failed append leaves no hole.
CREATE TABLE sheen.conversations (
    project_id sheen.id PRIMARY KEY,
    owner_id sheen.id NOT NULL,
    head bigint NOT NULL CHECK (head >= 0),
    last_ms bigint NOT NULL
) WITH (fillfactor = 90);

CREATE TABLE sheen.messages (
    project_id sheen.id NOT NULL REFERENCES sheen.conversations (project_id),
    seq bigint NOT NULL CHECK (seq > 0),
    message_id sheen.id NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    content text NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 65536),
    created_ms bigint NOT NULL,
    PRIMARY KEY (project_id, seq),
    UNIQUE (project_id, message_id)
);

-- What was said stays as it was said.
CREATE FUNCTION sheen.message_guard() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'a message is never altered' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER message_guard BEFORE UPDATE ON sheen.messages
    FOR EACH ROW EXECUTE FUNCTION sheen.message_guard();

-- Writes a message where the decision's premises hold: the conversation is the user's or nobody's,
-- and its id is new. Else hit is false, nothing is written, and what was met instead comes back;
-- what that means is decided in message/decide.rs.
CREATE FUNCTION sheen.message_append_v1(
    p_project text,
    p_user text,
    p_id text,
    p_role text,
    p_content text,
    OUT hit boolean,
    OUT owner_id text,
    OUT head bigint,
    OUT last_ms bigint,
    OUT known_seq bigint,
    OUT known_role text,
    OUT known_content text,
    OUT known_ms bigint
)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    hit := false;
    SELECT c.owner_id, c.head, c.last_ms INTO owner_id, head, last_ms
        FROM sheen.conversations c WHERE c.project_id = p_project FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO sheen.conversations AS c (project_id, owner_id, head, last_ms)
            VALUES (p_project, p_user, 0, sheen.now_ms())
            ON CONFLICT (project_id) DO NOTHING;
        -- In a statement of its own: another's row, if it was first, is seen once it committed.
        SELECT c.owner_id, c.head, c.last_ms INTO owner_id, head, last_ms
            FROM sheen.conversations c WHERE c.project_id = p_project FOR UPDATE;
    END IF;
    IF owner_id <> p_user THEN
        RETURN;
    END IF;
    SELECT m.seq, m.role, m.content, m.created_ms
        INTO known_seq, known_role, known_content, known_ms
        FROM sheen.messages m WHERE m.project_id = p_project AND m.message_id = p_id;
    IF FOUND THEN
        RETURN;
    END IF;
    hit := true;
    head := head + 1;
    -- The clock is read under the lock, in a later statement.
    last_ms := greatest(last_ms, sheen.now_ms());
    INSERT INTO sheen.messages (project_id, seq, message_id, role, content, created_ms)
        VALUES (p_project, head, p_id, p_role, p_content, message_append_v1.last_ms);
    UPDATE sheen.conversations c
        SET head = message_append_v1.head, last_ms = message_append_v1.last_ms
        WHERE c.project_id = p_project;
END
$$;

-- Their owner, as whom the service connects, reads and writes all; another role sees nothing.
ALTER TABLE sheen.conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE sheen.messages ENABLE ROW LEVEL SECURITY;
