DROP FUNCTION sheen.build_start_many_v2;
