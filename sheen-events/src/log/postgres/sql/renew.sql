UPDATE sheen.event_streams AS s
SET epoch = CASE WHEN s.epoch = d.epoch THEN s.epoch % 9007199254740991 + 1 ELSE d.epoch END
FROM (
    SELECT build_id, 1 + floor(random() * 9007199254740990)::bigint AS epoch
    FROM sheen.event_streams
) AS d
WHERE d.build_id = s.build_id
