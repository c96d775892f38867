SELECT sheen.settled_retire_v1(p_observer => $1) AS dropped
