DELETE FROM sheen.migrations WHERE crate = $1 AND version = $2
