-- When each user's viewer tokens were last taken back. What that revokes is for the code to say.

CREATE TABLE sheen.revocations (
    user_id sheen.id PRIMARY KEY,
    revoked_ms bigint NOT NULL
);

CREATE INDEX revocations_age ON sheen.revocations (revoked_ms);

-- Takes a user's tokens back as of now, or of before where the clock stepped back, and removes a few
-- rows of others that are older than p_keep_ms.
CREATE FUNCTION sheen.revoke_v1(p_user text, p_keep_ms bigint, OUT revoked_ms bigint)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_now bigint;
BEGIN
    INSERT INTO sheen.revocations AS r (user_id, revoked_ms) VALUES (p_user, 0)
        ON CONFLICT (user_id) DO UPDATE SET revoked_ms = r.revoked_ms;
    -- In a later statement than the lock: it may have been waited for.
    v_now := sheen.now_ms();
    UPDATE sheen.revocations r SET revoked_ms = greatest(r.revoked_ms, v_now)
        WHERE r.user_id = p_user
        RETURNING r.revoked_ms INTO revoke_v1.revoked_ms;
    DELETE FROM sheen.revocations d WHERE d.ctid = ANY (ARRAY(
        SELECT r.ctid FROM sheen.revocations r
        WHERE r.revoked_ms < v_now - p_keep_ms AND r.user_id <> p_user
        ORDER BY r.revoked_ms LIMIT 16
        FOR UPDATE SKIP LOCKED
    ));
END
$$;
