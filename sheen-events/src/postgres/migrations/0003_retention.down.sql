DROP FUNCTION sheen.event_retain_v1;
DROP TABLE sheen.event_daily_counts;
