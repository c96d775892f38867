DROP FUNCTION sheen.build_write_many_v1;
DROP FUNCTION sheen.build_start_many_v1;
DROP FUNCTION sheen.build_start_v2;
