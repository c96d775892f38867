SELECT 1 FROM sheen.builds WHERE build_id = $1 FOR UPDATE
