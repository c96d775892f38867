SELECT version, checksum FROM sheen.migrations WHERE crate = $1 ORDER BY version
