DROP FUNCTION sheen.settled_put_back_v1;
DROP FUNCTION sheen.settled_resolve_v1;
DROP FUNCTION sheen.settled_lease_v1;
DROP FUNCTION sheen.settled_retire_v1;
DROP FUNCTION sheen.settled_register_v1;
DROP TRIGGER builds_settled ON sheen.builds;
DROP FUNCTION sheen.builds_settled();
DROP TABLE sheen.settled_deliveries;
DROP TABLE sheen.settled_observers;
