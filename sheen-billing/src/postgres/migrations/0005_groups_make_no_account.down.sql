DROP FUNCTION sheen.credit_apply_many_v3;
