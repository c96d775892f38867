INSERT INTO sheen.migrations (crate, version, name, checksum) VALUES ($1, $2, $3, $4)
