-- Accounts of AI seconds. A step locks the account's row first, whatever it writes after, so every
-- row that names the account is as its version says. Keys carry the account, so that the tables
-- can be distributed by it; a payment is unique over all accounts and is distributed by itself.

CREATE TABLE sheen.credit_accounts (
    user_id sheen.id PRIMARY KEY,
    -- Rises with every change; a decision names the one it was made from.
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    welcomed boolean NOT NULL DEFAULT false,
    -- Days since 1970-01-01, UTC.
    gift_day integer,
    day integer,
    used_today bigint NOT NULL DEFAULT 0,
    reserved_today bigint NOT NULL DEFAULT 0,
    last_entry bigint NOT NULL DEFAULT 0 CHECK (last_entry >= 0),
    open_holds integer NOT NULL DEFAULT 0 CHECK (open_holds BETWEEN 0 AND 10000),
    gift_granted bigint NOT NULL DEFAULT 0,
    gift_available bigint NOT NULL DEFAULT 0,
    gift_held bigint NOT NULL DEFAULT 0,
    gift_charged bigint NOT NULL DEFAULT 0,
    gift_breakage bigint NOT NULL DEFAULT 0,
    welcome_granted bigint NOT NULL DEFAULT 0,
    welcome_available bigint NOT NULL DEFAULT 0,
    welcome_held bigint NOT NULL DEFAULT 0,
    welcome_charged bigint NOT NULL DEFAULT 0,
    welcome_breakage bigint NOT NULL DEFAULT 0,
    paid_granted bigint NOT NULL DEFAULT 0,
    paid_available bigint NOT NULL DEFAULT 0,
    paid_held bigint NOT NULL DEFAULT 0,
    paid_charged bigint NOT NULL DEFAULT 0,
    paid_breakage bigint NOT NULL DEFAULT 0,
    CONSTRAINT credit_accounts_never_negative CHECK (least(
        used_today, reserved_today,
        gift_granted, gift_available, gift_held, gift_charged, gift_breakage,
        welcome_granted, welcome_available, welcome_held, welcome_charged, welcome_breakage,
        paid_granted, paid_available, paid_held, paid_charged, paid_breakage
    ) >= 0),
    CONSTRAINT credit_accounts_gift_conserved CHECK (
        gift_granted = gift_available + gift_held + gift_charged + gift_breakage
    ),
    CONSTRAINT credit_accounts_welcome_conserved CHECK (
        welcome_granted = welcome_available + welcome_held + welcome_charged + welcome_breakage
    ),
    CONSTRAINT credit_accounts_paid_conserved CHECK (
        paid_granted = paid_available + paid_held + paid_charged + paid_breakage
    ),
    -- 2^53 - 1, so that a JavaScript caller reads every sum exactly.
    CONSTRAINT credit_accounts_in_range CHECK (
        gift_granted + welcome_granted + paid_granted <= 9007199254740991
    ),
    CONSTRAINT credit_accounts_today_is_part CHECK (
        used_today <= gift_charged + welcome_charged + paid_charged
        AND reserved_today <= gift_charged + welcome_charged + paid_charged
            + gift_held + welcome_held + paid_held
    ),
    CONSTRAINT credit_accounts_held_by_holds CHECK (
        open_holds <= gift_held + welcome_held + paid_held
        AND (open_holds > 0 OR gift_held + welcome_held + paid_held = 0)
    )
-- Room for the next versions of a row on its page; no index names a column that changes, so a
-- step's update of it is heap-only.
) WITH (fillfactor = 50);

-- A hold and the reserve that made it. Its id is derived from account and operation, so the key
-- says both that an operation id serves one reserve and whose a hold is.
CREATE TABLE sheen.credit_holds (
    reservation_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    operation_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C",
    seconds bigint NOT NULL CHECK (seconds > 0),
    ttl_ms bigint NOT NULL CHECK (ttl_ms BETWEEN 0 AND 86400000),
    day integer NOT NULL,
    created_ms bigint NOT NULL,
    -- The balance in the reserve's answer.
    answer_gift bigint NOT NULL CHECK (answer_gift >= 0),
    answer_welcome bigint NOT NULL CHECK (answer_welcome >= 0),
    answer_paid bigint NOT NULL CHECK (answer_paid >= 0),
    state text NOT NULL CHECK (state IN ('open', 'committed', 'released', 'expired')),
    gift bigint NOT NULL CHECK (gift >= 0),
    welcome bigint NOT NULL CHECK (welcome >= 0),
    paid bigint NOT NULL CHECK (paid >= 0),
    expires_ms bigint,
    PRIMARY KEY (reservation_id, user_id),
    -- An ended hold keeps nothing that could be spent.
    CONSTRAINT credit_holds_funded CHECK (
        gift + welcome + paid = CASE WHEN state = 'open' THEN seconds ELSE 0 END
        AND (state = 'open') = (expires_ms IS NOT NULL)
    )
) WITH (fillfactor = 80);

CREATE INDEX credit_holds_of_account ON sheen.credit_holds (user_id, expires_ms)
    WHERE state = 'open';
CREATE INDEX credit_holds_lapsing ON sheen.credit_holds (expires_ms) WHERE state = 'open';

-- Double entries: seconds of a bucket, moved from one place to another.
CREATE TABLE sheen.credit_entries (
    user_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    kind text NOT NULL,
    bucket text NOT NULL,
    from_place text NOT NULL,
    to_place text NOT NULL,
    seconds bigint NOT NULL CHECK (seconds BETWEEN 1 AND 9007199254740991),
    reservation_id text COLLATE "C",
    operation text COLLATE "C",
    created_ms bigint NOT NULL,
    PRIMARY KEY (user_id, number),
    CONSTRAINT credit_entries_known_move CHECK (CASE kind
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
    CONSTRAINT credit_entries_known_bucket CHECK (bucket IN ('gift', 'welcome', 'paid')),
    CONSTRAINT credit_entries_of_holds CHECK (
        reservation_id IS NOT NULL
        OR kind IN ('daily_gift', 'welcome_bonus', 'purchase', 'breakage')
    )
);

-- One gift a day and one bonus ever, whoever writes.
CREATE UNIQUE INDEX credit_entries_one_gift_a_day
    ON sheen.credit_entries (user_id, (created_ms / 86400000)) WHERE kind = 'daily_gift';
CREATE UNIQUE INDEX credit_entries_one_bonus
    ON sheen.credit_entries (user_id) WHERE kind = 'welcome_bonus';

-- Operation ids used by commits and releases, and the answers given.
CREATE TABLE sheen.credit_operations (
    user_id text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('commit', 'release')),
    operation_id text COLLATE "C" NOT NULL,
    reservation_id text COLLATE "C" NOT NULL,
    -- What a commit was asked to charge.
    seconds bigint NOT NULL CHECK (seconds >= 0),
    charged bigint NOT NULL CHECK (charged >= 0),
    returned bigint NOT NULL CHECK (returned >= 0),
    shortfall bigint NOT NULL CHECK (shortfall >= 0),
    answer_gift bigint NOT NULL CHECK (answer_gift >= 0),
    answer_welcome bigint NOT NULL CHECK (answer_welcome >= 0),
    answer_paid bigint NOT NULL CHECK (answer_paid >= 0),
    PRIMARY KEY (user_id, kind, operation_id),
    CONSTRAINT credit_operations_add_up CHECK (charged + shortfall = seconds)
);

CREATE TABLE sheen.credit_payments (
    payment_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    seconds bigint NOT NULL CHECK (seconds BETWEEN 1 AND 9007199254740991),
    created_ms bigint NOT NULL
);

-- What a project's holds of a day hold or charged. A sum of an earlier day is void.
CREATE TABLE sheen.credit_projects (
    user_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    day integer NOT NULL,
    reserved bigint NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (user_id, project_id)
) WITH (fillfactor = 80);

CREATE FUNCTION sheen.credit_refuse() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% of %: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'check_violation';
END
$$;

-- The conditions are judged without a function call, so what is allowed costs next to nothing.
CREATE TRIGGER credit_accounts_move_on BEFORE UPDATE ON sheen.credit_accounts
    FOR EACH ROW WHEN (
        NEW.user_id <> OLD.user_id
        OR NEW.version <= OLD.version
        OR NEW.last_entry < OLD.last_entry
        OR NEW.day < OLD.day
        OR NEW.gift_day < OLD.gift_day
        OR NEW.gift_day IS NULL AND OLD.gift_day IS NOT NULL
        OR NEW.day IS NULL AND OLD.day IS NOT NULL
        OR OLD.welcomed AND NOT NEW.welcomed
        OR NEW.gift_granted < OLD.gift_granted
        OR NEW.gift_charged < OLD.gift_charged
        OR NEW.gift_breakage < OLD.gift_breakage
        OR NEW.welcome_granted < OLD.welcome_granted
        OR NEW.welcome_charged < OLD.welcome_charged
        OR NEW.welcome_breakage < OLD.welcome_breakage
        OR NEW.paid_granted < OLD.paid_granted
        OR NEW.paid_charged < OLD.paid_charged
        OR NEW.paid_breakage < OLD.paid_breakage
    )
    EXECUTE FUNCTION sheen.credit_refuse('what was granted, charged or void stays so');
CREATE TRIGGER credit_accounts_stay BEFORE DELETE ON sheen.credit_accounts
    FOR EACH ROW WHEN (OLD.version > 0)
    EXECUTE FUNCTION sheen.credit_refuse('an account stays');

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
CREATE TRIGGER credit_holds_stay BEFORE DELETE ON sheen.credit_holds
    FOR EACH ROW EXECUTE FUNCTION sheen.credit_refuse('a hold stays');

CREATE TRIGGER credit_entries_stay BEFORE UPDATE OR DELETE ON sheen.credit_entries
    FOR EACH ROW EXECUTE FUNCTION sheen.credit_refuse('an entry is never changed');
CREATE TRIGGER credit_operations_stay BEFORE UPDATE OR DELETE ON sheen.credit_operations
    FOR EACH ROW EXECUTE FUNCTION sheen.credit_refuse('an answer is never changed');
CREATE TRIGGER credit_payments_stay BEFORE UPDATE OR DELETE ON sheen.credit_payments
    FOR EACH ROW EXECUTE FUNCTION sheen.credit_refuse('a payment is never changed');

CREATE TRIGGER credit_accounts_whole BEFORE TRUNCATE ON sheen.credit_accounts
    EXECUTE FUNCTION sheen.credit_refuse('a ledger is kept');
CREATE TRIGGER credit_holds_whole BEFORE TRUNCATE ON sheen.credit_holds
    EXECUTE FUNCTION sheen.credit_refuse('a ledger is kept');
CREATE TRIGGER credit_entries_whole BEFORE TRUNCATE ON sheen.credit_entries
    EXECUTE FUNCTION sheen.credit_refuse('a ledger is kept');
CREATE TRIGGER credit_operations_whole BEFORE TRUNCATE ON sheen.credit_operations
    EXECUTE FUNCTION sheen.credit_refuse('a ledger is kept');
CREATE TRIGGER credit_payments_whole BEFORE TRUNCATE ON sheen.credit_payments
    EXECUTE FUNCTION sheen.credit_refuse('a ledger is kept');
