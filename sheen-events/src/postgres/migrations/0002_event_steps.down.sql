DROP FUNCTION sheen.event_append_v1;
