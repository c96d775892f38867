-- KEYS[2] the scope's last token, ARGV[2] fingerprint, ARGV[3] lease in ms, ARGV[4] life of the
-- last token in ms.
local refused = refusal(load(), ARGV[2])
if refused then
    return refused
end
-- Above the last one, and not below the time in microseconds: a counter that was lost, by its time
-- to live or with a server, goes on above every token it gave.
local token = digits(math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now * 1000))
redis.call('SET', KEYS[2], token, 'PX', ARGV[4])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'f', ARGV[2], 't', token)
return { 'started', token, live(tonumber(ARGV[3])) }
