-- Fails, and changes nothing, once there are refunds: what was refunded cannot be told without.
DROP FUNCTION sheen.credit_apply_many_v2;
DROP FUNCTION sheen.credit_apply_v2;

ALTER TABLE sheen.credit_entries
    DROP CONSTRAINT credit_entries_known_move,
    ADD CONSTRAINT credit_entries_known_move CHECK (CASE kind
        WHEN 'reserve' THEN from_place = 'available' AND to_place = 'held'
        WHEN 'commit' THEN from_place IN ('held', 'available') AND to_place = 'charged'
        WHEN 'release' THEN from_place = 'held' AND to_place = 'available'
        WHEN 'expire' THEN from_place = 'held' AND to_place = 'available'
        WHEN 'daily_gift' THEN bucket = 'gift' AND from_place = 'granted' AND to_place = 'available'
        WHEN 'welcome_bonus'
            THEN bucket = 'welcome' AND from_place = 'granted' AND to_place = 'available'
        WHEN 'purchase' THEN bucket = 'paid' AND from_place = 'granted' AND to_place = 'available'
        WHEN 'breakage'
            THEN bucket = 'gift' AND from_place IN ('held', 'available') AND to_place = 'breakage'
        ELSE false
    END),
    DROP CONSTRAINT credit_entries_of_holds,
    ADD CONSTRAINT credit_entries_of_holds CHECK (
        reservation_id IS NOT NULL
        OR kind IN ('daily_gift', 'welcome_bonus', 'purchase', 'breakage')
    );

ALTER TABLE sheen.credit_operations
    DROP CONSTRAINT credit_operations_of_one,
    DROP CONSTRAINT credit_operations_add_up,
    ADD CONSTRAINT credit_operations_add_up CHECK (charged + shortfall = seconds),
    DROP CONSTRAINT credit_operations_kind_check,
    ADD CONSTRAINT credit_operations_kind_check CHECK (kind IN ('commit', 'release')),
    DROP COLUMN payment_id,
    ALTER COLUMN reservation_id SET NOT NULL;

DROP TRIGGER credit_payments_only_refunded ON sheen.credit_payments;
DROP TRIGGER credit_payments_stay ON sheen.credit_payments;
CREATE TRIGGER credit_payments_stay BEFORE UPDATE OR DELETE ON sheen.credit_payments
    FOR EACH ROW EXECUTE FUNCTION sheen.credit_refuse('a payment is never changed');
ALTER TABLE sheen.credit_payments DROP COLUMN refunded;

DROP TRIGGER credit_holds_end_once ON sheen.credit_holds;
ALTER TABLE sheen.credit_holds
    DROP COLUMN overage,
    DROP COLUMN tier,
    DROP COLUMN price_version,
    DROP COLUMN package_version,
    DROP COLUMN charged_gift,
    DROP COLUMN charged_welcome,
    DROP COLUMN charged_paid,
    DROP COLUMN refunded_gift,
    DROP COLUMN refunded_welcome,
    DROP COLUMN refunded_paid;
CREATE TRIGGER credit_holds_end_once BEFORE UPDATE ON sheen.credit_holds
    FOR EACH ROW WHEN (
        OLD.state <> 'open'
        OR NEW.expires_ms < OLD.expires_ms
        OR (NEW.reservation_id, NEW.user_id, NEW.operation_id, NEW.project_id, NEW.seconds,
            NEW.ttl_ms, NEW.day, NEW.created_ms, NEW.answer_gift, NEW.answer_welcome,
            NEW.answer_paid)
        IS DISTINCT FROM
           (OLD.reservation_id, OLD.user_id, OLD.operation_id, OLD.project_id, OLD.seconds,
            OLD.ttl_ms, OLD.day, OLD.created_ms, OLD.answer_gift, OLD.answer_welcome,
            OLD.answer_paid)
        OR NEW.state = 'open'
            AND (NEW.gift, NEW.welcome, NEW.paid) IS DISTINCT FROM (OLD.gift, OLD.welcome, OLD.paid)
    )
    EXECUTE FUNCTION sheen.credit_refuse('a hold ends once, and is never shortened');
