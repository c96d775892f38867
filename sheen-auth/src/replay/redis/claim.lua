-- A claim: the rule of decide.rs, repeated. The suite in tests/it/replay.rs holds the two together;
-- change neither alone.
--
-- KEYS[1] what the principal spent: a sorted set of digests by the instant until which each is known
-- KEYS[2] what is known of that memory: since (its first instant), last (the latest instant until
--         which anything in it is known), floor (the latest that was forgotten), line (the history of
--         writes that it is part of)
-- ARGV    now (empty: the server's), signed at, until, grace, capacity, digest, mark or empty,
--         life of a mark, margin; instants and lengths in milliseconds
local now, signed_at, till = now_millis(), tonumber(ARGV[2]), tonumber(ARGV[3])
local grace, capacity = tonumber(ARGV[4]), tonumber(ARGV[5])

local kept = redis.call('HMGET', KEYS[2], 'since', 'last', 'floor', 'line')
-- New after each start of a server and each promotion of a replica, also back and forth.
local line = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
if not line then
    return 'no line'
end
local since, last, floor = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3]) or -1
if not since or kept[4] ~= line then
    -- A memory that begins, or may have lost its end or all: nobody knows what was spent before.
    since = math.max(since or 0, now)
    redis.call('HSET', KEYS[2], 'since', whole(since), 'line', line)
end

-- A few a claim, so that nothing takes longer the more is held.
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. whole(now), 'WITHSCORES',
    'LIMIT', 0, 16)
local lowest = floor
for at = 1, #gone, 2 do
    redis.call('ZREM', KEYS[1], gone[at])
    floor = math.max(floor, tonumber(gone[at + 1]))
end
local held = redis.call('ZCARD', KEYS[1])
if held == 0 and last then
    -- All ran out, or was evicted: what may have been in it counts as forgotten either way.
    floor = math.max(floor, last)
end
if floor > lowest then
    redis.call('HSET', KEYS[2], 'floor', whole(floor))
end

if signed_at < since - grace or till < now or till <= floor then
    return 'too old'
end
if redis.call('ZSCORE', KEYS[1], ARGV[6]) then
    return 'replayed'
end
local wanted = ARGV[7] == '' and 1 or 2
if held + wanted > capacity then
    return 'full'
end
redis.call('ZADD', KEYS[1], whole(till), ARGV[6])
last = math.max(last or 0, till)
if wanted == 2 then
    local marked_until = now + tonumber(ARGV[8])
    redis.call('ZADD', KEYS[1], 'GT', whole(marked_until), ARGV[7])
    last = math.max(last, marked_until)
end
redis.call('HSET', KEYS[2], 'last', whole(last))
redis.call('PEXPIRE', KEYS[1], whole(last - now + tonumber(ARGV[9])))
return 'claimed'
