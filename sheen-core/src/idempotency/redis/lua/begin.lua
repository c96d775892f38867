-- KEYS[2] the scope's last token, ARGV[3] lease in ms, ARGV[4] life of the last token in ms.
-- Above the last one, and not below the time in microseconds: a counter that was lost, by its time
-- to live or with a server, goes on above every token it gave.
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local fresh = string.format('%020.0f', math.max(last + 1, now * 1000))
redis.call('SET', KEYS[2], fresh, 'PX', ARGV[4])
return { 'started', fresh, put(ARGV[2], fresh, tonumber(ARGV[3]), '') }
