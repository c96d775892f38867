SELECT r.now_ms, r.state
FROM sheen.credit_load_v1(
    p_user => $1,
    p_reservation => $2,
    p_lock => $3,
    p_holds => $4,
    p_kinds => $5,
    p_operations => $6,
    p_projects => $7,
    p_payment => $8
) AS r
