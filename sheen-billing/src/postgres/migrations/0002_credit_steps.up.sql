-- The statements of a credit step. They lock, compare what a decision relied on, and write what
-- was decided; the rules themselves are in account/decide. A changed function gets a new number,
-- so that processes of both ages run side by side.
--
-- Every plan in them is one index probe or an insert, the same for any arrays. Without the setting
-- each call would plan anew, since a plan for known arrays looks cheaper than one for any.

-- An account as JSON text, of one instant: every query in it sees the snapshot of the statement
-- that calls it. With it come the oldest p_lapsed (null: all) open holds that p_now_ms finds
-- lapsed, when the next open one lapses, and the holds, operations, projects and payment that are
-- asked for.
CREATE FUNCTION sheen.credit_state_v1(
    p_user text,
    p_now_ms bigint,
    p_lapsed integer,
    p_holds text[],
    p_kinds text[],
    p_operations text[],
    p_projects text[],
    p_payment text
) RETURNS text
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    -- LATERAL with LIMIT makes each look-up one index probe whatever the statistics say.
    RETURN (
        WITH listed AS MATERIALIZED (
            (SELECT h.* FROM sheen.credit_holds h
                WHERE h.user_id = p_user AND h.state = 'open' AND h.expires_ms <= p_now_ms
                ORDER BY h.expires_ms, h.reservation_id LIMIT p_lapsed)
            UNION ALL
            (SELECT h.* FROM unnest(p_holds) AS asked (id)
                CROSS JOIN LATERAL (
                    SELECT x.* FROM sheen.credit_holds x
                    WHERE x.reservation_id = asked.id AND x.user_id = p_user LIMIT 1
                ) h)
        )
        SELECT json_build_object(
            'user', p_user,
            'account', (
                SELECT row_to_json(a) FROM sheen.credit_accounts a WHERE a.user_id = p_user
            ),
            'next', (
                SELECT h.expires_ms FROM sheen.credit_holds h
                WHERE h.user_id = p_user AND h.state = 'open' AND h.expires_ms > p_now_ms
                ORDER BY h.expires_ms LIMIT 1
            ),
            'holds', (SELECT coalesce(json_agg(l), '[]') FROM listed l),
            'operations', (
                SELECT coalesce(json_agg(o), '[]')
                FROM unnest(p_kinds, p_operations) AS asked (kind, id)
                CROSS JOIN LATERAL (
                    SELECT x.* FROM sheen.credit_operations x
                    WHERE x.user_id = p_user AND x.kind = asked.kind AND x.operation_id = asked.id
                    LIMIT 1
                ) o
            ),
            'projects', (
                SELECT coalesce(json_agg(p), '[]')
                FROM (
                    SELECT unnest(p_projects) AS id
                    UNION SELECT l.project_id FROM listed l WHERE l.project_id IS NOT NULL
                ) AS asked
                CROSS JOIN LATERAL (
                    SELECT x.* FROM sheen.credit_projects x
                    WHERE x.user_id = p_user AND x.project_id = asked.id LIMIT 1
                ) p
            ),
            'payment', (
                SELECT row_to_json(p) FROM sheen.credit_payments p WHERE p.payment_id = p_payment
            )
        )::text
    );
END
$$;

-- An account as it is, found by its own id or by that of one of its holds. The clock is read
-- before the state, so that what it finds expired nobody closed in between.
CREATE FUNCTION sheen.credit_load_v1(
    p_user text,
    p_reservation text,
    p_lock boolean,
    p_holds text[],
    p_kinds text[],
    p_operations text[],
    p_projects text[],
    p_payment text,
    OUT now_ms bigint,
    OUT state text
)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_user text := p_user;
BEGIN
    IF v_user IS NULL THEN
        SELECT h.user_id INTO v_user FROM sheen.credit_holds h
            WHERE h.reservation_id = p_reservation LIMIT 1;
    END IF;
    IF p_lock THEN
        PERFORM 1 FROM sheen.credit_accounts a WHERE a.user_id = v_user FOR UPDATE;
    END IF;
    now_ms := sheen.now_ms();
    IF v_user IS NOT NULL THEN
        state := sheen.credit_state_v1(
            v_user, now_ms, NULL, p_holds, p_kinds, p_operations, p_projects, p_payment
        );
    END IF;
END
$$;

-- Writes what was decided, when the account still has the version it was decided from, the clock
-- read under its lock is within [p_from_ms, p_until_ms), and what was taken to be absent is. Else
-- hit is false, nothing is written, and the state comes back as it is, with the clock; without it
-- when another session holds the account and p_skip_locked says not to wait.
--
-- p_figures: used today, reserved today, last entry, then granted, available, held, charged and
-- breakage of gift, welcome and paid. Instants that count from now come as durations.
CREATE FUNCTION sheen.credit_apply_v1(
    p_user text,
    p_version bigint,
    p_from_ms bigint,
    p_until_ms bigint,
    p_skip_locked boolean,
    p_see_holds text[],
    p_see_kinds text[],
    p_see_operations text[],
    p_absent_holds text[],
    p_absent_kinds text[],
    p_absent_operations text[],
    p_relied_projects text[],
    p_relied_sums bigint[],
    p_payment text,
    p_payment_seconds bigint,
    p_version_after bigint,
    p_welcomed boolean,
    p_gift_day integer,
    p_day integer,
    p_open_holds integer,
    p_figures bigint[],
    p_entry_kind text[],
    p_entry_bucket text[],
    p_entry_from text[],
    p_entry_to text[],
    p_entry_seconds bigint[],
    p_entry_reservation text[],
    p_entry_operation text[],
    p_made_id text[],
    p_made_operation text[],
    p_made_project text[],
    p_made_state text[],
    -- Of each new hold: seconds, ttl, gift, welcome, paid, the answer's gift, welcome and paid.
    p_made_seconds bigint[],
    p_made_ttl_ms bigint[],
    p_made_gift bigint[],
    p_made_welcome bigint[],
    p_made_paid bigint[],
    p_made_answer_gift bigint[],
    p_made_answer_welcome bigint[],
    p_made_answer_paid bigint[],
    p_made_lives_ms bigint[],
    p_held_id text[],
    p_held_state text[],
    p_held_expires_ms bigint[],
    p_held_lives_ms bigint[],
    p_done_kind text[],
    p_done_operation text[],
    p_done_reservation text[],
    p_done_seconds bigint[],
    p_done_charged bigint[],
    p_done_returned bigint[],
    p_done_shortfall bigint[],
    p_done_gift bigint[],
    p_done_welcome bigint[],
    p_done_paid bigint[],
    p_project_id text[],
    p_project_sum bigint[],
    OUT hit boolean,
    OUT now_ms bigint,
    OUT state text
)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_version bigint;
    v_known boolean := false;
    v_held record;
BEGIN
    hit := false;
    IF p_version = 0 THEN
        -- A blank row is the same as none: it gives the first touches a row to wait for.
        INSERT INTO sheen.credit_accounts (user_id) VALUES (p_user)
            ON CONFLICT (user_id) DO NOTHING;
        IF NOT FOUND THEN
            -- Known after all, as a rule: found without a lock, which would cost a flush.
            SELECT a.version > 0 INTO v_known
                FROM sheen.credit_accounts a WHERE a.user_id = p_user;
        END IF;
    END IF;
    IF NOT v_known THEN
        IF p_skip_locked THEN
            SELECT a.version INTO v_version FROM sheen.credit_accounts a
                WHERE a.user_id = p_user FOR UPDATE SKIP LOCKED;
            IF NOT FOUND THEN
                now_ms := sheen.now_ms();
                RETURN;
            END IF;
        ELSE
            SELECT a.version INTO v_version FROM sheen.credit_accounts a
                WHERE a.user_id = p_user FOR UPDATE;
        END IF;
    END IF;

    -- After the lock, in a statement of its own.
    now_ms := sheen.now_ms();
    hit := v_version IS NOT DISTINCT FROM p_version AND now_ms >= p_from_ms AND now_ms < p_until_ms;
    IF hit AND cardinality(p_absent_holds) > 0 THEN
        hit := NOT EXISTS (
            SELECT FROM unnest(p_absent_holds) AS asked (id)
            CROSS JOIN LATERAL (
                SELECT FROM sheen.credit_holds x
                WHERE x.reservation_id = asked.id AND x.user_id = p_user LIMIT 1
            ) h
        );
    END IF;
    IF hit AND cardinality(p_absent_operations) > 0 THEN
        hit := NOT EXISTS (
            SELECT FROM unnest(p_absent_kinds, p_absent_operations) AS asked (kind, id)
            CROSS JOIN LATERAL (
                SELECT FROM sheen.credit_operations x
                WHERE x.user_id = p_user AND x.kind = asked.kind AND x.operation_id = asked.id
                LIMIT 1
            ) o
        );
    END IF;
    IF hit AND cardinality(p_relied_projects) > 0 THEN
        hit := NOT EXISTS (
            SELECT FROM unnest(p_relied_projects, p_relied_sums) AS relied (id, reserved)
            WHERE relied.reserved <> coalesce((
                SELECT x.reserved FROM sheen.credit_projects x
                WHERE x.user_id = p_user AND x.project_id = relied.id AND x.day = p_day
            ), 0)
        );
    END IF;
    IF hit AND p_payment IS NOT NULL THEN
        -- The first write, so that a payment known elsewhere leaves nothing to take back.
        INSERT INTO sheen.credit_payments (payment_id, user_id, seconds, created_ms)
            VALUES (p_payment, p_user, p_payment_seconds, now_ms)
            ON CONFLICT (payment_id) DO NOTHING;
        hit := FOUND;
    END IF;
    IF NOT hit THEN
        state := sheen.credit_state_v1(
            p_user, now_ms, NULL, p_absent_holds || p_see_holds, p_absent_kinds || p_see_kinds,
            p_absent_operations || p_see_operations, p_relied_projects, p_payment
        );
        RETURN;
    END IF;

    UPDATE sheen.credit_accounts a SET
        version = p_version_after,
        welcomed = p_welcomed,
        gift_day = p_gift_day,
        day = p_day,
        open_holds = p_open_holds,
        used_today = p_figures[1],
        reserved_today = p_figures[2],
        last_entry = p_figures[3],
        gift_granted = p_figures[4],
        gift_available = p_figures[5],
        gift_held = p_figures[6],
        gift_charged = p_figures[7],
        gift_breakage = p_figures[8],
        welcome_granted = p_figures[9],
        welcome_available = p_figures[10],
        welcome_held = p_figures[11],
        welcome_charged = p_figures[12],
        welcome_breakage = p_figures[13],
        paid_granted = p_figures[14],
        paid_available = p_figures[15],
        paid_held = p_figures[16],
        paid_charged = p_figures[17],
        paid_breakage = p_figures[18]
    WHERE a.user_id = p_user;

    IF cardinality(p_entry_kind) > 0 THEN
        INSERT INTO sheen.credit_entries (
            user_id, number, kind, bucket, from_place, to_place, seconds, reservation_id,
            operation, created_ms
        )
        SELECT p_user, p_figures[3] - cardinality(p_entry_kind) + e.n, e.kind, e.bucket,
            e.from_place, e.to_place, e.seconds, e.reservation, e.operation,
            credit_apply_v1.now_ms
        FROM unnest(p_entry_kind, p_entry_bucket, p_entry_from, p_entry_to, p_entry_seconds,
            p_entry_reservation, p_entry_operation) WITH ORDINALITY
            AS e (kind, bucket, from_place, to_place, seconds, reservation, operation, n);
    END IF;
    IF cardinality(p_made_id) > 0 THEN
        INSERT INTO sheen.credit_holds (
            reservation_id, user_id, operation_id, project_id, seconds, ttl_ms, day, created_ms,
            answer_gift, answer_welcome, answer_paid, state, gift, welcome, paid, expires_ms
        )
        SELECT m.id, p_user, m.operation, m.project, m.seconds, m.ttl_ms, p_day,
            credit_apply_v1.now_ms, m.answer_gift, m.answer_welcome, m.answer_paid, m.state,
            m.gift, m.welcome, m.paid, credit_apply_v1.now_ms + m.lives_ms
        FROM unnest(p_made_id, p_made_operation, p_made_project, p_made_state, p_made_seconds,
            p_made_ttl_ms, p_made_gift, p_made_welcome, p_made_paid, p_made_answer_gift,
            p_made_answer_welcome, p_made_answer_paid, p_made_lives_ms)
            AS m (id, operation, project, state, seconds, ttl_ms, gift, welcome, paid,
                answer_gift, answer_welcome, answer_paid, lives_ms);
    END IF;
    -- One by one, so that each is one index probe whatever the statistics say.
    FOR v_held IN
        SELECT * FROM unnest(p_held_id, p_held_state, p_held_expires_ms, p_held_lives_ms)
            AS u (id, state, expires_ms, lives_ms)
    LOOP
        UPDATE sheen.credit_holds h SET
            state = v_held.state,
            expires_ms = coalesce(v_held.expires_ms, credit_apply_v1.now_ms + v_held.lives_ms),
            gift = CASE WHEN v_held.state = 'open' THEN h.gift ELSE 0 END,
            welcome = CASE WHEN v_held.state = 'open' THEN h.welcome ELSE 0 END,
            paid = CASE WHEN v_held.state = 'open' THEN h.paid ELSE 0 END
        WHERE h.reservation_id = v_held.id AND h.user_id = p_user;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no hold % to change', v_held.id USING ERRCODE = 'no_data_found';
        END IF;
    END LOOP;
    IF cardinality(p_done_kind) > 0 THEN
        INSERT INTO sheen.credit_operations (
            user_id, kind, operation_id, reservation_id, seconds, charged, returned, shortfall,
            answer_gift, answer_welcome, answer_paid
        )
        SELECT p_user, d.*
        FROM unnest(p_done_kind, p_done_operation, p_done_reservation, p_done_seconds,
            p_done_charged, p_done_returned, p_done_shortfall, p_done_gift, p_done_welcome,
            p_done_paid) AS d;
    END IF;
    IF cardinality(p_project_id) > 0 THEN
        INSERT INTO sheen.credit_projects AS p (user_id, project_id, day, reserved)
        SELECT p_user, u.id, p_day, u.reserved
            FROM unnest(p_project_id, p_project_sum) AS u (id, reserved)
        ON CONFLICT (user_id, project_id) DO UPDATE
            SET day = excluded.day, reserved = excluded.reserved;
    END IF;
END
$$;

-- Accounts as they are at one instant, in the order asked for.
CREATE FUNCTION sheen.credit_views_v1(p_users text[])
RETURNS TABLE (now_ms bigint, state text)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now bigint := sheen.now_ms();
BEGIN
    RETURN QUERY
        SELECT v_now,
            sheen.credit_state_v1(asked.id, v_now, NULL, NULL, NULL, NULL, NULL, NULL)
        FROM unnest(p_users) WITH ORDINALITY AS asked (id, n)
        ORDER BY asked.n;
END
$$;

-- The accounts of the oldest p_limit lapsed holds, with as many of each as are among them.
CREATE FUNCTION sheen.credit_lapsed_v1(p_limit bigint)
RETURNS TABLE (now_ms bigint, share integer, state text)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now bigint := sheen.now_ms();
BEGIN
    RETURN QUERY
        SELECT v_now, found.share,
            sheen.credit_state_v1(
                found.user_id, v_now, found.share, NULL, NULL, NULL, NULL, NULL
            )
        FROM (
            SELECT oldest.user_id, count(*)::integer AS share
            FROM (
                SELECT h.user_id FROM sheen.credit_holds h
                WHERE h.state = 'open' AND h.expires_ms <= v_now
                ORDER BY h.expires_ms, h.reservation_id LIMIT p_limit
            ) oldest
            GROUP BY oldest.user_id
            ORDER BY oldest.user_id
        ) found;
END
$$;
