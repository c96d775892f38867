DROP FUNCTION sheen.build_write_v1;
DROP FUNCTION sheen.build_claim_v1;
DROP FUNCTION sheen.build_start_v1;
DROP FUNCTION sheen.build_position_v1;
