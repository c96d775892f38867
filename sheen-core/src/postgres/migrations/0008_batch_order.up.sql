-- build_start_many_v1 locked new projects in its caller's order, so that two batches could wait for one
-- another; processes that still call it are served.

-- Starts one after another, each as build_start_v2 does it, in the order given. It ends early after
-- a member whose project's last build is another than p_lasts says: what follows may have been laid
-- over files that are not there.
CREATE FUNCTION sheen.build_start_many_v2(
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
    -- In one order whoever comes, so that batches over the same projects never wait in a ring: new
    -- projects have no row to lock yet, so all names are locked first.
    PERFORM pg_advisory_xact_lock(named.hash)
        FROM (
            SELECT DISTINCT hashtextextended(names.project_id, 20261126) AS hash
            FROM unnest(p_projects) AS names (project_id)
            ORDER BY hash
        ) AS named;
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
