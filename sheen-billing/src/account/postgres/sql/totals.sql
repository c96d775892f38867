SELECT
    coalesce(sum(a.gift_granted + a.welcome_granted + a.paid_granted), 0)::text AS granted,
    coalesce(sum(a.gift_available + a.welcome_available + a.paid_available), 0)::text AS available,
    coalesce(sum(a.gift_held + a.welcome_held + a.paid_held), 0)::text AS held,
    coalesce(sum(a.gift_charged + a.welcome_charged + a.paid_charged), 0)::text AS charged,
    coalesce(sum(a.gift_breakage + a.welcome_breakage + a.paid_breakage), 0)::text AS breakage
FROM sheen.credit_accounts a
WHERE $1::text IS NULL OR a.user_id = $1
