UPDATE sheen.test_clock SET now_ms = now_ms + $1
