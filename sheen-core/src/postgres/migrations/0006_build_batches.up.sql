-- Several steps of builds in one statement, and a start that tells a known build of one instant.

-- As build_start_v1, save that the build which a session names and its place are read together.
CREATE FUNCTION sheen.build_start_v2(
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
    v_look record;
    v_now bigint;
BEGIN
    LOOP
        -- The lock that puts the starts of a project in a row.
        SELECT p.owner_id, p.last_build_id INTO owner_id, last_build_id
            FROM sheen.projects p WHERE p.project_id = p_project FOR UPDATE;
        v_known := FOUND;

        -- The build and its place in one look: between two it might have left the queue.
        SELECT b AS build, sheen.build_position_v1(b) AS place INTO v_look
            FROM sheen.builds b WHERE b.user_id = p_user AND b.session_id = p_session;
        build := v_look.build;
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
            queue_position := coalesce(v_look.place, 0);
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

-- Starts one after another, each as build_start_v2 does it, in the order given. It ends early after
-- a member whose project's last build is another than p_lasts says: what follows may have been laid
-- over files that are not there.
CREATE FUNCTION sheen.build_start_many_v1(
    p_builds text[],
    p_versions text[],
    p_users text[],
    p_projects text[],
    p_sessions text[],
    p_kinds text[],
    p_allow_concurrent boolean[],
    p_holds text[],
    p_hold_seconds bigint[],
    p_prompts text[],
    p_files text[],
    p_metadata text[],
    p_locales text[],
    p_statuses text[],
    p_tokens bigint[],
    p_any_active boolean[],
    p_lasts text[],
    p_any_last boolean[],
    OUT hit boolean,
    OUT owner_id text,
    OUT last_build_id text,
    OUT active_id text,
    OUT queue_position bigint,
    OUT build sheen.builds
)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_start record;
BEGIN
    -- In one order whoever comes, so that batches over the same projects never wait in a ring.
    PERFORM 1 FROM sheen.projects p
        WHERE p.project_id = ANY (p_projects)
        ORDER BY p.project_id
        FOR UPDATE;
    FOR i IN 1 .. cardinality(p_builds) LOOP
        SELECT s.* INTO v_start FROM sheen.build_start_v2(
            p_builds[i], p_versions[i], p_users[i], p_projects[i], p_sessions[i], p_kinds[i],
            p_allow_concurrent[i], p_holds[i], p_hold_seconds[i], p_prompts[i], p_files[i],
            p_metadata[i], p_locales[i], p_statuses[i], p_tokens[i], p_any_active[i], p_lasts[i],
            p_any_last[i]
        ) AS s;
        hit := v_start.hit;
        owner_id := v_start.owner_id;
        last_build_id := v_start.last_build_id;
        active_id := v_start.active_id;
        queue_position := v_start.queue_position;
        build := v_start.build;
        RETURN NEXT;
        EXIT WHEN NOT hit
            AND (owner_id IS NULL OR owner_id = p_users[i])
            AND build.build_id IS NULL
            AND (p_any_active[i] OR active_id IS NULL);
    END LOOP;
END
$$;

-- Writes the next rows of builds that no other step holds at this moment, each when it is still the
-- one the decision relied on and the clock has reached its p_not_before. Gives those it wrote.
CREATE FUNCTION sheen.build_write_many_v1(
    p_builds text[],
    p_statuses text[],
    p_tokens bigint[],
    p_heartbeats bigint[],
    p_not_before bigint[],
    p_statuses_after text[],
    p_tokens_after bigint[],
    p_reasons text[],
    p_errors text[]
)
RETURNS SETOF sheen.builds
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_build sheen.builds;
    v_now bigint;
BEGIN
    FOR i IN 1 .. cardinality(p_builds) LOOP
        SELECT b.* INTO v_build
            FROM sheen.builds b WHERE b.build_id = p_builds[i]
            FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        v_now := sheen.now_ms();
        CONTINUE WHEN v_build.status <> p_statuses[i]
            OR v_build.token <> p_tokens[i]
            OR v_build.heartbeat_ms IS DISTINCT FROM p_heartbeats[i]
            OR v_now < p_not_before[i];
        UPDATE sheen.builds b
            SET status = p_statuses_after[i],
                token = p_tokens_after[i],
                updated_ms = v_now,
                reason = p_reasons[i],
                error = p_errors[i]
            WHERE b.build_id = p_builds[i]
            RETURNING b.* INTO v_build;
        RETURN NEXT v_build;
    END LOOP;
END
$$;
