DROP FUNCTION sheen.credit_lapsed_v1;
DROP FUNCTION sheen.credit_views_v1;
DROP FUNCTION sheen.credit_apply_v1;
DROP FUNCTION sheen.credit_load_v1;
DROP FUNCTION sheen.credit_state_v1;
