DROP FUNCTION sheen.idempotency_reap_v1;
DROP FUNCTION sheen.idempotency_claim_v1;
DROP FUNCTION sheen.idempotency_put_v1;
DROP FUNCTION sheen.idempotency_lock_v1;
