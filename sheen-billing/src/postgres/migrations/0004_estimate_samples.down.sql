DROP FUNCTION sheen.sample_record_v1(text, text, text, bigint, bigint, integer);
DROP TABLE sheen.estimate_samples;
