UPDATE sheen.event_streams SET token = greatest(token, $2) WHERE build_id = $1 RETURNING build_id
