-- Takes a user's tokens back as of now, or of before where the clock stepped back.
-- KEYS[1] when that was last done, in milliseconds; ARGV: now (empty: the server's), its life in ms.
local now
if ARGV[1] ~= '' then
    now = tonumber(ARGV[1])
else
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local revoked = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[1])) or 0))
redis.call('SET', KEYS[1], revoked, 'PX', ARGV[2])
return revoked
