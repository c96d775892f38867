-- What every step begins with. The rules are those of decide.rs, repeated; the suites in
-- tests/redis/ hold the two together: change neither alone.
--
-- KEYS[1] is the record, one string: fingerprint, 32 bytes; token, 20 digits; its end in ms, 20
-- digits; then the answer as the caller wrote it, once the call was done.
-- ARGV[1] is a time in ms for tests; empty: the server's. The key's time to live is nothing but
-- garbage collection, ten minutes past the end that is in the record.
--
-- Numbers stay under 2^53, where doubles are exact; they are written with %.0f, since tostring
-- has but 14 digits.

local now
if ARGV[1] ~= '' then
    now = tonumber(ARGV[1])
else
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local record = redis.call('GET', KEYS[1])
local fingerprint, token, ends, done
if record then
    if #record < 72 then
        -- Not a record: refused as such by the server.
        redis.call('HLEN', KEYS[1])
    end
    fingerprint, token = string.sub(record, 1, 32), string.sub(record, 33, 52)
    ends, done = tonumber(string.sub(record, 53, 72)), #record > 72
end

-- Writes a record that lives for this long from now.
local function put(fingerprint, token, life, answer)
    local ends = string.format('%020.0f', now + life)
    local keep = string.format('%.0f', life + 600000)
    redis.call('SET', KEYS[1], fingerprint .. token .. ends .. answer, 'PX', keep)
    return ends
end
