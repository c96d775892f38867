INSERT INTO sheen.projects (project_id, owner_id) VALUES ($1, $2)
-- On any constraint: the row has two, and either may meet the other's row first.
ON CONFLICT DO NOTHING
RETURNING owner_id
