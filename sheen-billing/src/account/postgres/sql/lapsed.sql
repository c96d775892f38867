SELECT r.now_ms, r.share, r.state FROM sheen.credit_lapsed_v1(p_limit => $1) AS r
