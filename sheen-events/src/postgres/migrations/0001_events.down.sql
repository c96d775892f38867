DROP TABLE sheen.event_appends;
DROP TABLE sheen.events;
DROP TABLE sheen.event_streams;
DROP FUNCTION sheen.event_streams_guard();
DROP FUNCTION sheen.events_guard();
