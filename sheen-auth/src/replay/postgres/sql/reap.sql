SELECT sheen.replay_reap_v1($1) AS reaped
