-- Refunds, what a hold agreed on, and steps on several accounts in one statement.

-- Null while there is nothing to say, so that a hold is not wider for it.
ALTER TABLE sheen.credit_holds
    ADD COLUMN overage text COLLATE "C" CHECK (overage IN ('top_up', 'reject')),
    ADD COLUMN tier text COLLATE "C" CHECK (tier IN ('standard', 'premium')),
    ADD COLUMN price_version bigint CHECK (price_version BETWEEN 0 AND 4294967295),
    ADD COLUMN package_version bigint CHECK (package_version BETWEEN 0 AND 4294967295),
    -- From which buckets a committed hold was charged, and what of that was refunded.
    ADD COLUMN charged_gift bigint,
    ADD COLUMN charged_welcome bigint,
    ADD COLUMN charged_paid bigint,
    ADD COLUMN refunded_gift bigint,
    ADD COLUMN refunded_welcome bigint,
    ADD COLUMN refunded_paid bigint,
    ADD CONSTRAINT credit_holds_terms CHECK (
        (tier IS NULL) = (price_version IS NULL)
        AND (package_version IS NULL OR tier IS NOT NULL)
    ),
    ADD CONSTRAINT credit_holds_charged CHECK (
        num_nonnulls(charged_gift, charged_welcome, charged_paid) = 0
        OR num_nonnulls(charged_gift, charged_welcome, charged_paid) = 3
            AND state = 'committed'
            AND least(charged_gift, charged_welcome, charged_paid) >= 0
    ),
    ADD CONSTRAINT credit_holds_refunded CHECK (
        num_nonnulls(refunded_gift, refunded_welcome, refunded_paid) = 0
        OR num_nonnulls(charged_gift, refunded_gift, refunded_welcome, refunded_paid) = 4
            AND refunded_gift BETWEEN 0 AND charged_gift
            AND refunded_welcome BETWEEN 0 AND charged_welcome
            AND refunded_paid BETWEEN 0 AND charged_paid
    );

DROP TRIGGER credit_holds_end_once ON sheen.credit_holds;

-- Holds that were committed before: the entries know.
UPDATE sheen.credit_holds h SET
    charged_gift = e.gift, charged_welcome = e.welcome, charged_paid = e.paid
FROM (
    SELECT user_id, reservation_id,
        coalesce(sum(seconds) FILTER (WHERE bucket = 'gift'), 0) AS gift,
        coalesce(sum(seconds) FILTER (WHERE bucket = 'welcome'), 0) AS welcome,
        coalesce(sum(seconds) FILTER (WHERE bucket = 'paid'), 0) AS paid
    FROM sheen.credit_entries WHERE kind = 'commit'
    GROUP BY user_id, reservation_id
) e
WHERE h.user_id = e.user_id AND h.reservation_id = e.reservation_id AND h.state = 'committed';

CREATE TRIGGER credit_holds_end_once BEFORE UPDATE ON sheen.credit_holds
    FOR EACH ROW WHEN (
        -- An ended hold changes by being refunded alone.
        OLD.state <> 'open' AND (
            OLD.state = 'committed' AND NEW.state = 'committed'
            AND (NEW.charged_gift, NEW.charged_welcome, NEW.charged_paid)
                IS NOT DISTINCT FROM (OLD.charged_gift, OLD.charged_welcome, OLD.charged_paid)
            AND NEW.refunded_gift >= coalesce(OLD.refunded_gift, 0)
            AND NEW.refunded_welcome >= coalesce(OLD.refunded_welcome, 0)
            AND NEW.refunded_paid >= coalesce(OLD.refunded_paid, 0)
        ) IS NOT TRUE
        OR NEW.expires_ms < OLD.expires_ms
        OR (NEW.reservation_id, NEW.user_id, NEW.operation_id, NEW.project_id, NEW.seconds,
            NEW.ttl_ms, NEW.day, NEW.created_ms, NEW.answer_gift, NEW.answer_welcome,
            NEW.answer_paid, NEW.overage, NEW.tier, NEW.price_version, NEW.package_version)
        IS DISTINCT FROM
           (OLD.reservation_id, OLD.user_id, OLD.operation_id, OLD.project_id, OLD.seconds,
            OLD.ttl_ms, OLD.day, OLD.created_ms, OLD.answer_gift, OLD.answer_welcome,
            OLD.answer_paid, OLD.overage, OLD.tier, OLD.price_version, OLD.package_version)
        OR NEW.state = 'open'
            AND (NEW.gift, NEW.welcome, NEW.paid) IS DISTINCT FROM (OLD.gift, OLD.welcome, OLD.paid)
    )
    EXECUTE FUNCTION sheen.credit_refuse('a hold ends once, and is never shortened');

ALTER TABLE sheen.credit_payments
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT credit_payments_refunded CHECK (refunded BETWEEN 0 AND seconds);
DROP TRIGGER credit_payments_stay ON sheen.credit_payments;
CREATE TRIGGER credit_payments_stay BEFORE DELETE ON sheen.credit_payments
    FOR EACH ROW EXECUTE FUNCTION sheen.credit_refuse('a payment stays');
CREATE TRIGGER credit_payments_only_refunded BEFORE UPDATE ON sheen.credit_payments
    FOR EACH ROW WHEN (
        (NEW.payment_id, NEW.user_id, NEW.seconds, NEW.created_ms)
            IS DISTINCT FROM (OLD.payment_id, OLD.user_id, OLD.seconds, OLD.created_ms)
        OR NEW.refunded <= OLD.refunded
    )
    EXECUTE FUNCTION sheen.credit_refuse('a payment is refunded, and not changed else');

ALTER TABLE sheen.credit_operations
    ALTER COLUMN reservation_id DROP NOT NULL,
    ADD COLUMN payment_id text COLLATE "C",
    DROP CONSTRAINT credit_operations_kind_check,
    ADD CONSTRAINT credit_operations_kind_check CHECK (kind IN ('commit', 'release', 'refund')),
    DROP CONSTRAINT credit_operations_add_up,
    ADD CONSTRAINT credit_operations_add_up CHECK (
        CASE kind
            WHEN 'refund' THEN seconds > 0 AND charged = 0 AND shortfall = 0 AND returned <= seconds
            ELSE charged + shortfall = seconds
        END
    ),
    ADD CONSTRAINT credit_operations_of_one CHECK (
        num_nonnulls(reservation_id, payment_id) = 1 AND (payment_id IS NULL OR kind = 'refund')
    );

ALTER TABLE sheen.credit_entries
    DROP CONSTRAINT credit_entries_known_move,
    ADD CONSTRAINT credit_entries_known_move CHECK (CASE kind
        WHEN 'reserve' THEN from_place = 'available' AND to_place = 'held'
        WHEN 'commit' THEN from_place IN ('held', 'available') AND to_place = 'charged'
        WHEN 'release' THEN from_place = 'held' AND to_place = 'available'
        WHEN 'expire' THEN from_place = 'held' AND to_place = 'available'
        WHEN 'daily_gift' THEN bucket = 'gift' AND from_place = 'granted' AND to_place = 'available'
        WHEN 'welcome_bonus'
            THEN bucket = 'welcome' AND from_place = 'granted' AND to_place = 'available'
        WHEN 'purchase' THEN bucket = 'paid' AND from_place = 'granted' AND to_place = 'available'
        WHEN 'breakage'
            THEN bucket = 'gift' AND from_place IN ('held', 'available') AND to_place = 'breakage'
        WHEN 'refund' THEN from_place = 'granted' AND to_place = 'available'
        WHEN 'reversal'
            THEN bucket = 'paid' AND from_place = 'available' AND to_place = 'breakage'
        ELSE false
    END),
    DROP CONSTRAINT credit_entries_of_holds,
    ADD CONSTRAINT credit_entries_of_holds CHECK (
        reservation_id IS NOT NULL
        OR kind IN ('daily_gift', 'welcome_bonus', 'purchase', 'breakage', 'reversal')
    );

-- As credit_apply_v1: writes what was decided, when the account still has the version it was
-- decided from, the clock read under its lock is within the window, and what was taken to be
-- absent is. Its answer is one text, since a row of several would be stored and read again:
-- 'hit:<now>'; 'miss:<now>:<state>', nothing written; 'busy:<now>', another session holds the
-- account and p_skip_locked says not to wait.
--
-- p_head: version, window from and until, version after, welcomed, gift day, day, open holds, used
-- today, reserved today, last entry, then granted, available, held, charged and breakage of gift,
-- welcome and paid. p_made: 14 numbers a new hold: seconds, ttl, lives; gift, welcome, paid; the
-- answer's gift, welcome, paid; price and package version; charged gift, welcome, paid. p_held: 8
-- a changed hold: expires, lives; charged, refunded gift, welcome, paid. p_done: 7 an operation:
-- seconds, charged, returned, shortfall; the answer's gift, welcome, paid. What is none is -1, a
-- day that is none -2147483648.
CREATE FUNCTION sheen.credit_apply_v2(
    p_user text,
    p_head bigint[],
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
    -- How much of it is refunded by this; null when it is new.
    p_payment_refunded bigint,
    p_see_payment text,
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
    p_made_overage text[],
    p_made_tier text[],
    p_made bigint[],
    p_held_id text[],
    p_held_state text[],
    p_held bigint[],
    p_done_kind text[],
    p_done_operation text[],
    p_done_reservation text[],
    p_done_payment text[],
    p_done bigint[],
    p_project_id text[],
    p_project_sum bigint[]
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_version bigint;
    v_known boolean := false;
    v_now bigint;
    v_day integer := p_head[7];
    v_hit boolean;
    v_one text;
    v_n integer;
BEGIN
    IF p_head[1] = 0 THEN
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
                RETURN 'busy:' || sheen.now_ms();
            END IF;
        ELSE
            SELECT a.version INTO v_version FROM sheen.credit_accounts a
                WHERE a.user_id = p_user FOR UPDATE;
        END IF;
    END IF;

    -- After the lock, in a statement of its own.
    v_now := sheen.now_ms();
    v_hit := v_version IS NOT DISTINCT FROM p_head[1] AND v_now >= p_head[2] AND v_now < p_head[3];
    IF v_hit AND cardinality(p_absent_holds) = 1 THEN
        v_one := p_absent_holds[1];
        PERFORM 1 FROM sheen.credit_holds x WHERE x.reservation_id = v_one AND x.user_id = p_user;
        v_hit := NOT FOUND;
    ELSIF v_hit AND cardinality(p_absent_holds) > 1 THEN
        v_hit := NOT EXISTS (
            SELECT FROM unnest(p_absent_holds) AS asked (id)
            CROSS JOIN LATERAL (
                SELECT FROM sheen.credit_holds x
                WHERE x.reservation_id = asked.id AND x.user_id = p_user LIMIT 1
            ) h
        );
    END IF;
    IF v_hit AND cardinality(p_absent_operations) > 0 THEN
        v_hit := NOT EXISTS (
            SELECT FROM unnest(p_absent_kinds, p_absent_operations) AS asked (kind, id)
            CROSS JOIN LATERAL (
                SELECT FROM sheen.credit_operations x
                WHERE x.user_id = p_user AND x.kind = asked.kind AND x.operation_id = asked.id
                LIMIT 1
            ) o
        );
    END IF;
    IF v_hit AND cardinality(p_relied_projects) > 0 THEN
        v_hit := NOT EXISTS (
            SELECT FROM unnest(p_relied_projects, p_relied_sums) AS relied (id, reserved)
            WHERE relied.reserved <> coalesce((
                SELECT x.reserved FROM sheen.credit_projects x
                WHERE x.user_id = p_user AND x.project_id = relied.id AND x.day = v_day
            ), 0)
        );
    END IF;
    IF v_hit AND p_payment IS NOT NULL THEN
        -- The first write, so that a payment known elsewhere leaves nothing to take back.
        IF p_payment_refunded IS NULL THEN
            INSERT INTO sheen.credit_payments (payment_id, user_id, seconds, created_ms)
                VALUES (p_payment, p_user, p_payment_seconds, v_now)
                ON CONFLICT (payment_id) DO NOTHING;
        ELSE
            UPDATE sheen.credit_payments p SET refunded = p.refunded + p_payment_refunded
                WHERE p.payment_id = p_payment AND p.user_id = p_user;
        END IF;
        v_hit := FOUND;
    END IF;
    IF NOT v_hit THEN
        RETURN 'miss:' || v_now || ':' || sheen.credit_state_v1(
            p_user, v_now, NULL, p_absent_holds || p_see_holds, p_absent_kinds || p_see_kinds,
            p_absent_operations || p_see_operations, p_relied_projects,
            coalesce(p_payment, p_see_payment)
        );
    END IF;

    UPDATE sheen.credit_accounts a SET
        version = p_head[4],
        welcomed = p_head[5] > 0,
        gift_day = nullif(p_head[6], -2147483648),
        day = nullif(p_head[7], -2147483648),
        open_holds = p_head[8],
        used_today = p_head[9],
        reserved_today = p_head[10],
        last_entry = p_head[11],
        gift_granted = p_head[12],
        gift_available = p_head[13],
        gift_held = p_head[14],
        gift_charged = p_head[15],
        gift_breakage = p_head[16],
        welcome_granted = p_head[17],
        welcome_available = p_head[18],
        welcome_held = p_head[19],
        welcome_charged = p_head[20],
        welcome_breakage = p_head[21],
        paid_granted = p_head[22],
        paid_available = p_head[23],
        paid_held = p_head[24],
        paid_charged = p_head[25],
        paid_breakage = p_head[26]
    WHERE a.user_id = p_user;

    -- One row is the usual case, and to unnest a dozen arrays for it costs more than to write it.
    v_n := cardinality(p_entry_kind);
    IF v_n = 1 THEN
        INSERT INTO sheen.credit_entries (
            user_id, number, kind, bucket, from_place, to_place, seconds, reservation_id,
            operation, created_ms
        ) VALUES (
            p_user, p_head[11], p_entry_kind[1], p_entry_bucket[1], p_entry_from[1],
            p_entry_to[1], p_entry_seconds[1], p_entry_reservation[1], p_entry_operation[1], v_now
        );
    ELSIF v_n > 1 THEN
        INSERT INTO sheen.credit_entries (
            user_id, number, kind, bucket, from_place, to_place, seconds, reservation_id,
            operation, created_ms
        )
        SELECT p_user, p_head[11] - v_n + e.n, e.kind, e.bucket, e.from_place, e.to_place,
            e.seconds, e.reservation, e.operation, v_now
        FROM unnest(p_entry_kind, p_entry_bucket, p_entry_from, p_entry_to, p_entry_seconds,
            p_entry_reservation, p_entry_operation) WITH ORDINALITY
            AS e (kind, bucket, from_place, to_place, seconds, reservation, operation, n);
    END IF;
    v_n := cardinality(p_made_id);
    IF v_n = 1 THEN
        INSERT INTO sheen.credit_holds (
            reservation_id, user_id, operation_id, project_id, seconds, ttl_ms, day, created_ms,
            answer_gift, answer_welcome, answer_paid, state, gift, welcome, paid, expires_ms,
            overage, tier, price_version, package_version,
            charged_gift, charged_welcome, charged_paid
        ) VALUES (
            p_made_id[1], p_user, p_made_operation[1], p_made_project[1], p_made[1], p_made[2],
            v_day, v_now, p_made[7], p_made[8], p_made[9], p_made_state[1], p_made[4], p_made[5],
            p_made[6], v_now + nullif(p_made[3], -1), p_made_overage[1], p_made_tier[1],
            nullif(p_made[10], -1), nullif(p_made[11], -1),
            nullif(p_made[12], -1), nullif(p_made[13], -1), nullif(p_made[14], -1)
        );
    ELSIF v_n > 1 THEN
        INSERT INTO sheen.credit_holds (
            reservation_id, user_id, operation_id, project_id, seconds, ttl_ms, day, created_ms,
            answer_gift, answer_welcome, answer_paid, state, gift, welcome, paid, expires_ms,
            overage, tier, price_version, package_version,
            charged_gift, charged_welcome, charged_paid
        )
        SELECT m.id, p_user, m.operation, m.project, p_made[m.o + 1], p_made[m.o + 2], v_day,
            v_now, p_made[m.o + 7], p_made[m.o + 8], p_made[m.o + 9], m.state, p_made[m.o + 4],
            p_made[m.o + 5], p_made[m.o + 6], v_now + nullif(p_made[m.o + 3], -1), m.overage,
            m.tier, nullif(p_made[m.o + 10], -1), nullif(p_made[m.o + 11], -1),
            nullif(p_made[m.o + 12], -1), nullif(p_made[m.o + 13], -1),
            nullif(p_made[m.o + 14], -1)
        FROM (
            SELECT u.*, 14 * (u.n - 1)::integer AS o
            FROM unnest(p_made_id, p_made_operation, p_made_project, p_made_state, p_made_overage,
                p_made_tier) WITH ORDINALITY AS u (id, operation, project, state, overage, tier, n)
        ) AS m;
    END IF;
    -- One by one, so that each is one index probe whatever the statistics say.
    FOR i IN 1..cardinality(p_held_id) LOOP
        v_one := p_held_id[i];
        v_n := 8 * (i - 1);
        UPDATE sheen.credit_holds h SET
            state = p_held_state[i],
            expires_ms = coalesce(
                nullif(p_held[v_n + 1], -1), v_now + nullif(p_held[v_n + 2], -1)
            ),
            gift = CASE WHEN p_held_state[i] = 'open' THEN h.gift ELSE 0 END,
            welcome = CASE WHEN p_held_state[i] = 'open' THEN h.welcome ELSE 0 END,
            paid = CASE WHEN p_held_state[i] = 'open' THEN h.paid ELSE 0 END,
            charged_gift = nullif(p_held[v_n + 3], -1),
            charged_welcome = nullif(p_held[v_n + 4], -1),
            charged_paid = nullif(p_held[v_n + 5], -1),
            refunded_gift = nullif(p_held[v_n + 6], -1),
            refunded_welcome = nullif(p_held[v_n + 7], -1),
            refunded_paid = nullif(p_held[v_n + 8], -1)
        WHERE h.reservation_id = v_one AND h.user_id = p_user;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no hold % to change', v_one USING ERRCODE = 'no_data_found';
        END IF;
    END LOOP;
    IF cardinality(p_done_kind) > 0 THEN
        INSERT INTO sheen.credit_operations (
            user_id, kind, operation_id, reservation_id, payment_id, seconds, charged, returned,
            shortfall, answer_gift, answer_welcome, answer_paid
        )
        SELECT p_user, d.kind, d.operation, d.reservation, d.payment, p_done[d.o + 1],
            p_done[d.o + 2], p_done[d.o + 3], p_done[d.o + 4], p_done[d.o + 5], p_done[d.o + 6],
            p_done[d.o + 7]
        FROM (
            SELECT u.*, 7 * (u.n - 1)::integer AS o
            FROM unnest(p_done_kind, p_done_operation, p_done_reservation, p_done_payment)
                WITH ORDINALITY AS u (kind, operation, reservation, payment, n)
        ) AS d;
    END IF;
    IF cardinality(p_project_id) > 0 THEN
        INSERT INTO sheen.credit_projects AS p (user_id, project_id, day, reserved)
        SELECT p_user, u.id, v_day, u.reserved
            FROM unnest(p_project_id, p_project_sum) AS u (id, reserved)
        ON CONFLICT (user_id, project_id) DO UPDATE
            SET day = excluded.day, reserved = excluded.reserved;
    END IF;
    RETURN 'hit:' || v_now;
END
$$;

-- The steps of several accounts, in the order of their ids so that two such statements cannot
-- wait for one another in a circle; an account that another session holds is passed by. Each
-- array holds what belongs to the first account, then to the second; p_counts says how much, 10
-- numbers an account: of holds and operations to see, holds and operations taken to be absent,
-- projects relied on, entries, new holds, changed holds, operations done, sums of projects.
CREATE FUNCTION sheen.credit_apply_many_v2(
    p_users text[],
    p_heads bigint[],
    p_counts integer[],
    p_see_holds text[],
    p_see_kinds text[],
    p_see_operations text[],
    p_absent_holds text[],
    p_absent_kinds text[],
    p_absent_operations text[],
    p_relied_projects text[],
    p_relied_sums bigint[],
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
    p_made_overage text[],
    p_made_tier text[],
    p_made bigint[],
    p_held_id text[],
    p_held_state text[],
    p_held bigint[],
    p_done_kind text[],
    p_done_operation text[],
    p_done_reservation text[],
    p_done_payment text[],
    p_done bigint[],
    p_project_id text[],
    p_project_sum bigint[]
) RETURNS text[]
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_told text[] := '{}';
    sh integer := 0;
    so integer := 0;
    ah integer := 0;
    ao integer := 0;
    r integer := 0;
    e integer := 0;
    m integer := 0;
    h integer := 0;
    d integer := 0;
    p integer := 0;
    k integer;
    sh2 integer;
    so2 integer;
    ah2 integer;
    ao2 integer;
    r2 integer;
    e2 integer;
    m2 integer;
    h2 integer;
    d2 integer;
    p2 integer;
BEGIN
    FOR i IN 1..cardinality(p_users) LOOP
        k := 10 * (i - 1);
        sh2 := sh + p_counts[k + 1];
        so2 := so + p_counts[k + 2];
        ah2 := ah + p_counts[k + 3];
        ao2 := ao + p_counts[k + 4];
        r2 := r + p_counts[k + 5];
        e2 := e + p_counts[k + 6];
        m2 := m + p_counts[k + 7];
        h2 := h + p_counts[k + 8];
        d2 := d + p_counts[k + 9];
        p2 := p + p_counts[k + 10];
        v_told[i] := sheen.credit_apply_v2(
            p_users[i], p_heads[26 * i - 25:26 * i], true,
            p_see_holds[sh + 1:sh2], p_see_kinds[so + 1:so2], p_see_operations[so + 1:so2],
            p_absent_holds[ah + 1:ah2], p_absent_kinds[ao + 1:ao2],
            p_absent_operations[ao + 1:ao2],
            p_relied_projects[r + 1:r2], p_relied_sums[r + 1:r2], NULL, NULL, NULL, NULL,
            p_entry_kind[e + 1:e2], p_entry_bucket[e + 1:e2], p_entry_from[e + 1:e2],
            p_entry_to[e + 1:e2], p_entry_seconds[e + 1:e2], p_entry_reservation[e + 1:e2],
            p_entry_operation[e + 1:e2],
            p_made_id[m + 1:m2], p_made_operation[m + 1:m2], p_made_project[m + 1:m2],
            p_made_state[m + 1:m2], p_made_overage[m + 1:m2], p_made_tier[m + 1:m2],
            p_made[14 * m + 1:14 * m2],
            p_held_id[h + 1:h2], p_held_state[h + 1:h2], p_held[8 * h + 1:8 * h2],
            p_done_kind[d + 1:d2], p_done_operation[d + 1:d2], p_done_reservation[d + 1:d2],
            p_done_payment[d + 1:d2], p_done[7 * d + 1:7 * d2],
            p_project_id[p + 1:p2], p_project_sum[p + 1:p2]
        );
        sh := sh2;
        so := so2;
        ah := ah2;
        ao := ao2;
        r := r2;
        e := e2;
        m := m2;
        h := h2;
        d := d2;
        p := p2;
    END LOOP;
    RETURN v_told;
END
$$;
