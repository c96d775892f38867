SELECT h.user_id, row_to_json(h)::text AS hold
FROM sheen.credit_holds h WHERE h.reservation_id = $1 LIMIT 1
