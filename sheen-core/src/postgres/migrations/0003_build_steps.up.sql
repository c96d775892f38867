-- The apply statements of builds. They lock, compare what the decision relied on, and write what
-- was decided; the rules themselves are in build/decide.rs. A changed function gets a new number,
-- so that processes of both ages run side by side.

-- A build's place among the queued ones, from 1; 0 when it is not queued.
CREATE FUNCTION sheen.build_position_v1(p_build sheen.builds) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN p_build.status = 'queued' THEN
        (SELECT count(*) FROM sheen.builds b WHERE b.status = 'queued' AND b.seq <= p_build.seq)
    ELSE 0 END
$$;

-- Admits a build, when the project is nobody's or p_user's, the session names no build yet, no
-- build of the project is active (unless p_any_active), and its last build is p_last, over whose
-- files p_files were laid (unless p_any_last). Else hit is false, nothing is written, and the rest
-- says how things stand.
CREATE FUNCTION sheen.build_start_v1(
    p_build text,
    p_version text,
    p_user text,
    p_project text,
    p_session text,
    p_kind text,
    p_allow_concurrent boolean,
    p_hold text,
    p_hold_seconds bigint,
    p_prompt text,
    p_files text,
    p_metadata text,
    p_locale text,
    p_status text,
    p_token bigint,
    p_any_active boolean,
    p_last text,
    p_any_last boolean,
    OUT hit boolean,
    OUT owner_id text,
    OUT last_build_id text,
    OUT active_id text,
    OUT queue_position bigint,
    OUT build sheen.builds
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_known boolean;
    v_now bigint;
BEGIN
    LOOP
        -- The lock that puts the starts of a project in a row.
        SELECT p.owner_id, p.last_build_id INTO owner_id, last_build_id
            FROM sheen.projects p WHERE p.project_id = p_project FOR UPDATE;
        v_known := FOUND;

        SELECT b.* INTO build
            FROM sheen.builds b WHERE b.user_id = p_user AND b.session_id = p_session;
        active_id := NULL;
        IF v_known THEN
            SELECT b.build_id INTO active_id
                FROM sheen.builds b
                WHERE b.project_id = p_project AND b.status IN ('queued', 'building')
                ORDER BY b.seq LIMIT 1;
        END IF;

        hit := (owner_id IS NULL OR owner_id = p_user)
            AND build.build_id IS NULL
            AND (p_any_active OR active_id IS NULL)
            AND (p_any_last OR last_build_id IS NOT DISTINCT FROM p_last);
        IF NOT hit THEN
            queue_position := sheen.build_position_v1(build);
            RETURN;
        END IF;

        IF NOT v_known THEN
            INSERT INTO sheen.projects (project_id, owner_id, last_build_id)
                VALUES (p_project, p_user, p_build)
                -- On any constraint: the row has two, and either may meet the other's row first.
                ON CONFLICT DO NOTHING;
            -- Another start made it meanwhile: look at it under its lock.
            CONTINUE WHEN NOT FOUND;
        END IF;

        -- After the project's lock, in a statement of its own.
        v_now := sheen.now_ms();
        INSERT INTO sheen.builds (
            build_id, version_id, user_id, project_id, session_id, kind, allow_concurrent,
            status, token, hold_id, hold_seconds, created_ms, updated_ms
        ) VALUES (
            p_build, p_version, p_user, p_project, p_session, p_kind, p_allow_concurrent,
            p_status, p_token, p_hold, p_hold_seconds, v_now, v_now
        )
        ON CONFLICT (user_id, session_id) DO NOTHING
        RETURNING * INTO build;
        EXIT WHEN FOUND;

        -- The session was taken through another project meanwhile: undo, and find that build.
        IF NOT v_known THEN
            DELETE FROM sheen.projects p WHERE p.project_id = p_project;
        END IF;
    END LOOP;

    IF v_known THEN
        UPDATE sheen.projects p SET last_build_id = p_build WHERE p.project_id = p_project;
    END IF;
    INSERT INTO sheen.build_inputs (build_id, prompt, files, metadata, locale)
        VALUES (p_build, p_prompt, p_files, p_metadata, p_locale);
    queue_position := sheen.build_position_v1(build);
END
$$;

-- Claims the build queued longest that no other step holds at this moment, among those that are
-- as the decision took any queued build to be.
CREATE FUNCTION sheen.build_claim_v1(
    p_worker text,
    p_token bigint,
    p_status_after text,
    p_token_after bigint,
    OUT build sheen.builds,
    OUT prompt text,
    OUT files text,
    OUT metadata text,
    OUT locale text
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_build text;
    v_now bigint;
BEGIN
    SELECT b.build_id INTO v_build
        FROM sheen.builds b
        WHERE b.status = 'queued' AND b.token = p_token
        ORDER BY b.seq LIMIT 1
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_now := sheen.now_ms();
    UPDATE sheen.builds b
        SET status = p_status_after,
            token = p_token_after,
            claimed_by = p_worker,
            heartbeat_ms = v_now,
            updated_ms = v_now
        WHERE b.build_id = v_build
        RETURNING b.* INTO build;
    -- Not in the calling statement: its snapshot may be older than the build.
    SELECT i.prompt, i.files, i.metadata, i.locale INTO prompt, files, metadata, locale
        FROM sheen.build_inputs i WHERE i.build_id = v_build;
END
$$;

-- Writes a build's next row, when it is still the one the decision relied on and the clock, read
-- under the row's lock, has reached p_not_before_ms. Else hit is false, nothing is written, and
-- the row comes back as it is, with the clock.
CREATE FUNCTION sheen.build_write_v1(
    p_build text,
    p_status text,
    p_token bigint,
    p_heartbeat_ms bigint,
    p_not_before_ms bigint,
    p_status_after text,
    p_token_after bigint,
    p_beat boolean,
    p_reason text,
    p_error text,
    p_preview_url text,
    p_seconds bigint,
    OUT hit boolean,
    OUT now_ms bigint,
    OUT build sheen.builds
)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    SELECT b.* INTO build FROM sheen.builds b WHERE b.build_id = p_build FOR UPDATE;
    now_ms := sheen.now_ms();
    hit := build.build_id IS NOT NULL
        AND build.status = p_status
        AND build.token = p_token
        AND build.heartbeat_ms IS NOT DISTINCT FROM p_heartbeat_ms
        AND (p_not_before_ms IS NULL OR now_ms >= p_not_before_ms);
    IF hit THEN
        UPDATE sheen.builds b
            SET status = p_status_after,
                token = p_token_after,
                heartbeat_ms = CASE WHEN p_beat THEN build_write_v1.now_ms ELSE b.heartbeat_ms END,
                updated_ms = build_write_v1.now_ms,
                reason = p_reason,
                error = p_error,
                preview_url = p_preview_url,
                seconds = p_seconds
            WHERE b.build_id = p_build
            RETURNING b.* INTO build;
    END IF;
END
$$;
