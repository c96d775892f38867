-- Groups of steps that nobody's making of an account holds up.

-- As credit_apply_many_v2, but it makes no account: to insert one waits for whoever is just making
-- or changing the same, and all the other accounts of the statement would wait too. An account that
-- is not there yet is passed by, as one that another session holds; it is made by a step of its own.
-- One that is there, though it was taken to be new, is told as it is, without a lock.
--
-- The steps of several accounts come in the order of their ids, so that two such statements cannot
-- wait for one another in a circle; an account that another session holds is passed by. Each
-- array holds what belongs to the first account, then to the second; p_counts says how much, 10
-- numbers an account: of holds and operations to see, holds and operations taken to be absent,
-- projects relied on, entries, new holds, changed holds, operations done, sums of projects.
CREATE FUNCTION sheen.credit_apply_many_v3(
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
    v_now bigint;
    v_known boolean;
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
        IF p_heads[26 * i - 25] = 0 THEN
            v_now := sheen.now_ms();
            SELECT a.version > 0 INTO v_known
                FROM sheen.credit_accounts a WHERE a.user_id = p_users[i];
            IF v_known THEN
                v_told[i] := 'miss:' || v_now || ':' || sheen.credit_state_v1(
                    p_users[i], v_now, NULL, p_absent_holds[ah + 1:ah2] || p_see_holds[sh + 1:sh2],
                    p_absent_kinds[ao + 1:ao2] || p_see_kinds[so + 1:so2],
                    p_absent_operations[ao + 1:ao2] || p_see_operations[so + 1:so2],
                    p_relied_projects[r + 1:r2], NULL
                );
            ELSE
                v_told[i] := 'busy:' || v_now;
            END IF;
        ELSE
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
        END IF;
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
