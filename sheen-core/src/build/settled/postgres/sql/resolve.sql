SELECT sheen.settled_resolve_v1(
    p_observer => $1,
    p_build => $2,
    p_token => $3,
    p_heard => $4,
    p_park => $5,
    p_wait_ms => $6,
    p_error => $7
) AS hit
