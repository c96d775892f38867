SELECT
    r.hit,
    r.first_ms,
    (r.stream).build_id,
    (r.stream).user_id,
    (r.stream).session_id,
    (r.stream).epoch,
    (r.stream).head,
    (r.stream).hidden_head,
    (r.stream).floor,
    (r.stream).last_ms,
    (r.stream).token,
    (r.stream).closed,
    (r.stream).ended_by,
    (r.done).head_before,
    (r.done).head_after,
    (r.done).hidden_before,
    (r.done).hidden_after
FROM sheen.event_append_v1(
    p_build => $1,
    p_key => $2,
    p_token => $3,
    p_any_ended => $4,
    p_ended_by => $5,
    p_ended_after => $6,
    p_visible => $7,
    p_types => $8,
    p_data => $9
) AS r
