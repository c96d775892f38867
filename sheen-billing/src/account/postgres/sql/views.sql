SELECT r.now_ms, r.state FROM sheen.credit_views_v1(p_users => $1) AS r
