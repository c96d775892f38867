SELECT pg_notify($1, w.word) FROM unnest($2::text[]) AS w (word)
