-- What a commit beyond its hold took of the gift of a later day than the hold's: a refund on that day
-- gives it back, where the gift that was held is void.

-- Null while there is nothing to say.
ALTER TABLE sheen.credit_holds
    ADD COLUMN late_gift bigint,
    ADD COLUMN late_day integer,
    ADD CONSTRAINT credit_holds_late_gift CHECK (
        num_nonnulls(late_gift, late_day) = 0
        OR num_nonnulls(late_gift, late_day, charged_gift) = 3
            AND late_gift BETWEEN 1 AND charged_gift AND late_day > day
    );

-- A commit takes more of the gift than was held only once all that was held is charged, and it has
-- written the account, with its day, before its hold.
CREATE FUNCTION sheen.credit_note_late_gift() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    v_day integer;
BEGIN
    SELECT a.day INTO v_day FROM sheen.credit_accounts a WHERE a.user_id = NEW.user_id;
    IF v_day > NEW.day THEN
        NEW.late_gift := NEW.charged_gift - OLD.gift;
        NEW.late_day := v_day;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER credit_holds_late_gift BEFORE UPDATE ON sheen.credit_holds
    FOR EACH ROW WHEN (
        OLD.state = 'open' AND NEW.state = 'committed' AND NEW.charged_gift > OLD.gift
    )
    EXECUTE FUNCTION sheen.credit_note_late_gift();

CREATE TRIGGER credit_holds_late_gift_stays BEFORE UPDATE ON sheen.credit_holds
    FOR EACH ROW WHEN (
        OLD.state <> 'open'
        AND (NEW.late_gift, NEW.late_day) IS DISTINCT FROM (OLD.late_gift, OLD.late_day)
    )
    EXECUTE FUNCTION sheen.credit_refuse('a hold ends once, and is never shortened');
