-- What every step begins with. The rules are those of decide.rs, repeated; the suites in
-- tests/redis/ hold the two together: change neither alone.
--
-- KEYS[1] is the record, a hash: f fingerprint, t token, e its end in ms; once the call was done
-- also s status, h headers, b body, r request id.
-- ARGV[1] is a time in ms for tests; empty: the server's. The key's time to live is nothing but
-- garbage collection, every deadline is in e.
--
-- Numbers stay under 2^53, where doubles are exact; they are written with %.0f, since tostring
-- has but 14 digits.

local KEEP_MS = 600000

local function clock()
    if ARGV[1] ~= '' then
        return tonumber(ARGV[1])
    end
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local now = clock()

local function digits(number)
    return string.format('%.0f', number)
end

local function load()
    local kept = redis.call('HMGET', KEYS[1], 'f', 't', 'e', 's')
    if not kept[2] then
        return nil
    end
    local record = { fingerprint = kept[1], token = kept[2], ends = tonumber(kept[3]), done = kept[4] }
    record.forgotten = record.done and record.ends <= now
    return record
end

-- The record lives for this long from now; its key a little longer.
local function live(life)
    local ends = digits(now + life)
    redis.call('HSET', KEYS[1], 'e', ends)
    redis.call('PEXPIRE', KEYS[1], digits(life + KEEP_MS))
    return ends
end

-- What a beginning is refused with, nil when it may start.
local function refusal(record, fingerprint)
    if not record or record.forgotten then
        return nil
    end
    if record.fingerprint ~= fingerprint then
        return { 'reused' }
    end
    if record.done then
        local answer = redis.call('HMGET', KEYS[1], 's', 'h', 'b', 'r')
        return { 'replay', answer[1], answer[2], answer[3], answer[4] }
    end
    if now < record.ends then
        return { 'running' }
    end
    return nil
end
