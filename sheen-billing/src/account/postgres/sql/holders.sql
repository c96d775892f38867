SELECT asked.id AS reservation_id, h.user_id
FROM unnest($1::text[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT x.user_id FROM sheen.credit_holds x WHERE x.reservation_id = asked.id LIMIT 1
) h
