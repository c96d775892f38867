DROP FUNCTION sheen.event_retain_v2;
