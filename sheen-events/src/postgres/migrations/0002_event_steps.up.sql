-- The apply statements of event logs. They compare what the decision relied on and write what was
-- decided; the rules themselves are in log/decide.rs. A changed function gets a new number, so that
-- processes of both ages run side by side.

-- Appends events, when the stream's token and openness are as the decision took them to be, and
-- what ended it too, unless the decision did not ask (p_any_ended). Else hit is false, nothing is
-- written, and the stream comes back as it is. A known key is told before all that, in done.
-- Numbers and instants follow from the stream's row, read under its lock.
CREATE FUNCTION sheen.event_append_v1(
    p_build text,
    p_key text,
    p_token bigint,
    p_any_ended boolean,
    p_ended_by text,
    p_ended_after text,
    p_visible boolean[],
    p_types text[],
    p_data text[],
    OUT hit boolean,
    OUT first_ms bigint,
    OUT stream sheen.event_streams,
    OUT done sheen.event_appends
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_count bigint := cardinality(p_types);
    v_visible bigint := cardinality(array_positions(p_visible, true));
BEGIN
    hit := false;
    SELECT s.* INTO stream FROM sheen.event_streams s WHERE s.build_id = p_build FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        SELECT a.* INTO done FROM sheen.event_appends a
            WHERE a.build_id = p_build AND a.append_key = p_key;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    hit := stream.token = p_token
        AND NOT stream.closed
        AND (p_any_ended OR stream.ended_by IS NOT DISTINCT FROM p_ended_by);
    IF NOT hit THEN
        RETURN;
    END IF;

    first_ms := greatest(sheen.now_ms(), stream.last_ms + 1);
    IF v_count = 1 THEN
        INSERT INTO sheen.events
            (build_id, seq, user_id, user_visible, event_type, data, created_ms)
        VALUES (
            p_build,
            CASE WHEN p_visible[1] THEN stream.head + 1 ELSE -stream.hidden_head - 1 END,
            stream.user_id, p_visible[1], p_types[1], p_data[1], first_ms
        );
    ELSE
        INSERT INTO sheen.events
            (build_id, seq, user_id, user_visible, event_type, data, created_ms)
        SELECT
            p_build,
            CASE
                WHEN e.visible THEN stream.head + count(*) FILTER (WHERE e.visible) OVER w
                ELSE -stream.hidden_head - count(*) FILTER (WHERE NOT e.visible) OVER w
            END,
            stream.user_id, e.visible, e.kind, e.data, first_ms + e.place - 1
        FROM unnest(p_visible, p_types, p_data) WITH ORDINALITY AS e (visible, kind, data, place)
        WINDOW w AS (ORDER BY e.place);
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO sheen.event_appends VALUES (
            p_build, p_key, stream.head, stream.head + v_visible,
            stream.hidden_head, stream.hidden_head + v_count - v_visible, first_ms
        );
    END IF;
    UPDATE sheen.event_streams s
        SET head = s.head + v_visible,
            hidden_head = s.hidden_head + v_count - v_visible,
            last_ms = first_ms + v_count - 1,
            ended_by = CASE WHEN p_any_ended THEN s.ended_by ELSE p_ended_after END
        WHERE s.build_id = p_build;
END
$$;
