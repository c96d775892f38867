-- One step on one key: the rule of decide.rs, repeated. The suite in tests/it/limit_redis.rs holds the two
-- together; change neither alone.
--
-- KEYS[1]  the key
-- ARGV[1]  microseconds to take for the time, for tests; empty: the server's
-- ARGV[2]  take | peek | refund
-- ARGV[3]  cost, at most the smallest burst but for refund
-- ARGV[4…] interval in microseconds and burst of each quota
--
-- Answers {waits at place (0: at none), wait, debt of each quota}. All sums stay under 2^53, where
-- doubles are exact; they are written with %.0f, since tostring has but 14 digits.

local function now_micros()
    if ARGV[1] ~= '' then
        return tonumber(ARGV[1])
    end
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local now = now_micros()
local step, cost = ARGV[2], tonumber(ARGV[3])

local kept = {}
for whole_at in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do
    kept[#kept + 1] = tonumber(whole_at)
end

local quotas = {}
for at = 4, #ARGV, 2 do
    quotas[#quotas + 1] = { interval = tonumber(ARGV[at]), burst = tonumber(ARGV[at + 1]) }
end

local before, after, wait, blocked = {}, {}, 0, 0
for place, quota in ipairs(quotas) do
    local capacity = quota.interval * quota.burst
    local debt = math.min(math.max((kept[place] or 0) - now, 0), capacity)
    before[place] = debt
    if step == 'refund' then
        after[place] = math.max(debt - quota.interval * cost, 0)
    else
        after[place] = debt + quota.interval * cost
    end
    if after[place] - capacity > wait then
        wait, blocked = after[place] - capacity, place
    end
end

local result = after
if wait > 0 or step == 'peek' then
    result = before
else
    local texts, longest = {}, 0
    for place, debt in ipairs(after) do
        texts[place] = string.format('%.0f', now + debt)
        longest = math.max(longest, debt)
    end
    if longest == 0 then
        redis.call('DEL', KEYS[1])
    else
        local life = string.format('%.0f', math.max(math.ceil(longest / 1000), 1000))
        redis.call('SET', KEYS[1], table.concat(texts, ' '), 'PX', life)
    end
end
return { blocked, wait, unpack(result) }
