DROP TABLE sheen.build_inputs;
DROP TABLE sheen.builds;
DROP FUNCTION sheen.builds_guard();
DROP TABLE sheen.projects;
