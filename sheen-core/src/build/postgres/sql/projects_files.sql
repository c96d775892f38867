SELECT
    p.project_id,
    p.last_build_id,
    i.files
FROM sheen.projects AS p
LEFT JOIN sheen.build_inputs AS i ON i.build_id = p.last_build_id
WHERE p.project_id = ANY ($1::text[])
