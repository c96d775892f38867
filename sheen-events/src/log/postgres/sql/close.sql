UPDATE sheen.event_streams SET closed = true WHERE build_id = $1 RETURNING build_id
