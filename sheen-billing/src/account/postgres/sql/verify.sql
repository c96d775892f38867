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
        sum(e.seconds) AS seconds, count(*) AS entries, max(e.number) AS last_number
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
-- Joined by sorting or hashing: once over each, however many accounts there are.
books AS (
    SELECT parts.user_id,
        (array_agg(parts.account) FILTER (WHERE parts.account IS NOT NULL))[1] AS account,
        json_agg(parts.moved) FILTER (WHERE parts.moved IS NOT NULL) AS moved,
        (array_agg(parts.held) FILTER (WHERE parts.held IS NOT NULL))[1] AS held
    FROM (
        SELECT page.user_id::text COLLATE "C" AS user_id, row_to_json(page) AS account,
            NULL::json AS moved, NULL::json AS held
        FROM page
        UNION ALL SELECT moved.user_id, NULL, row_to_json(moved), NULL FROM moved
        UNION ALL SELECT held.user_id, NULL, NULL, row_to_json(held) FROM held
    ) AS parts
    GROUP BY parts.user_id
)
SELECT json_build_object(
    'user', books.user_id,
    'account', books.account,
    'moved', coalesce(books.moved, '[]'),
    'held', books.held
)::text AS books
FROM books
ORDER BY books.user_id
