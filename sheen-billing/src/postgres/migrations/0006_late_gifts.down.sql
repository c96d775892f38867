DROP TRIGGER credit_holds_late_gift_stays ON sheen.credit_holds;
DROP TRIGGER credit_holds_late_gift ON sheen.credit_holds;
DROP FUNCTION sheen.credit_note_late_gift;
ALTER TABLE sheen.credit_holds
    DROP CONSTRAINT credit_holds_late_gift,
    DROP COLUMN late_gift,
    DROP COLUMN late_day;
