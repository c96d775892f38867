DROP VIEW sheen.project_build_events;
