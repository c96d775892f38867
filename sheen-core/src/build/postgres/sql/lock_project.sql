SELECT owner_id FROM sheen.projects WHERE project_id = $1 FOR UPDATE
