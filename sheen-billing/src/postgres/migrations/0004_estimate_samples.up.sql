-- What operations used, by which the next ones are estimated. What it says is for the code to say.

CREATE TABLE sheen.estimate_samples (
    sample_id sheen.id PRIMARY KEY,
    operation text COLLATE "C" NOT NULL CHECK (octet_length(operation) BETWEEN 1 AND 64),
    size text COLLATE "C" NOT NULL CHECK (octet_length(size) BETWEEN 1 AND 64),
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    estimated bigint NOT NULL CHECK (estimated >= 0),
    used bigint NOT NULL CHECK (used >= 0)
);

CREATE UNIQUE INDEX estimate_samples_newest ON sheen.estimate_samples (operation, size, number);

-- Records a sample unless its id is known, and removes those of its class before the newest p_keep.
CREATE FUNCTION sheen.sample_record_v1(
    p_id text, p_operation text, p_size text, p_estimated bigint, p_used bigint, p_keep integer
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    INSERT INTO sheen.estimate_samples (sample_id, operation, size, estimated, used)
        VALUES (p_id, p_operation, p_size, p_estimated, p_used)
        ON CONFLICT (sample_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM sheen.estimate_samples d WHERE d.ctid = ANY (ARRAY(
        SELECT s.ctid FROM sheen.estimate_samples s
        WHERE s.operation = p_operation AND s.size = p_size
        ORDER BY s.number DESC OFFSET p_keep LIMIT 16
        FOR UPDATE SKIP LOCKED
    ));
    RETURN true;
END
$$;
