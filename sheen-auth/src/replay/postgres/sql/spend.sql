SELECT r.hit, r.now_ms, r.floor_ms, r.spent, r.entries
FROM sheen.replay_spend_v1(
    p_principal => $1,
    p_shard => $2,
    p_digest => $3,
    p_until_ms => $4,
    p_mark => $5,
    p_mark_life_ms => $6,
    p_capacity => $7
) AS r
