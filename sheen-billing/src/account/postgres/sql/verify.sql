WITH page AS MATERIALIZED (
    SELECT a.* FROM sheen.credit_accounts a
    WHERE ($1::text IS NULL OR a.user_id = $1) AND ($2::text IS NULL OR a.user_id > $2)
    ORDER BY a.user_id
    LIMIT $3
),
-- Up to the last account of a full page, else up to the end: entries without an account are found.
bounds AS MATERIALIZED (
    SELECT CASE WHEN count(*) = $3 THEN max(page.user_id::text) END AS upto FROM page
),
moved AS (
    SELECT e.user_id, e.bucket, e.from_place, e.to_place,
        sum(e.seconds) AS seconds, count(*) AS entries
    FROM sheen.credit_entries e
    WHERE ($1::text IS NULL OR e.user_id = $1) AND ($2::text IS NULL OR e.user_id > $2)
        AND e.user_id <= coalesce((SELECT upto FROM bounds), e.user_id)
    GROUP BY e.user_id, e.bucket, e.from_place, e.to_place
),
held AS (
    SELECT h.user_id, count(*) AS open_holds,
        sum(h.gift) AS gift, sum(h.welcome) AS welcome, sum(h.paid) AS paid
    FROM sheen.credit_holds h
    WHERE h.state = 'open'
        AND ($1::text IS NULL OR h.user_id = $1) AND ($2::text IS NULL OR h.user_id > $2)
        AND h.user_id <= coalesce((SELECT upto FROM bounds), h.user_id)
    GROUP BY h.user_id
),
found AS (
    SELECT user_id::text COLLATE "C" AS user_id FROM page
    UNION SELECT user_id FROM moved
    UNION SELECT user_id FROM held
)
SELECT json_build_object(
    'user', found.user_id,
    'account', (SELECT row_to_json(page) FROM page WHERE page.user_id = found.user_id),
    'moved', coalesce((
        SELECT json_agg(moved) FROM moved WHERE moved.user_id = found.user_id
    ), '[]'),
    'held', (SELECT row_to_json(held) FROM held WHERE held.user_id = found.user_id)
)::text AS books
FROM found
ORDER BY found.user_id
