SELECT sheen.settled_put_back_v1(p_observer => $1, p_build => $2) AS parked
