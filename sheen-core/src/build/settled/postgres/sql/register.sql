SELECT known, added FROM sheen.settled_register_v1(p_observer => $1, p_most => $2)
