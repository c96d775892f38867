-- One step on one key: the rule of decide.rs, repeated. The suite in tests/it/redis.rs holds the two
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

-- floor(part * factor / whole) for part < whole, by the bits of factor: the product may not fit.
local function share(part, factor, whole)
    local bit, result, rest = 1, 0, 0
    while bit * 2 <= factor do
        bit = bit * 2
    end
    while bit >= 1 do
        result, rest = result * 2, rest * 2
        if factor >= bit then
            factor, rest = factor - bit, rest + part
        end
        local more = math.floor(rest / whole)
        result, rest = result + more, rest - more * whole
        bit = bit / 2
    end
    return result
end

local now = now_micros()
local step, cost = ARGV[2], tonumber(ARGV[3])

local kept = {}
for whole_at, interval in string.gmatch(redis.call('GET', KEYS[1]) or '', '(%d+)/(%d+)') do
    kept[#kept + 1] = { tonumber(whole_at), tonumber(interval) }
end

local quotas = {}
for at = 4, #ARGV, 2 do
    quotas[#quotas + 1] = { interval = tonumber(ARGV[at]), burst = tonumber(ARGV[at + 1]) }
end

local before, after, wait, blocked = {}, {}, 0, 0
for place, quota in ipairs(quotas) do
    local debt, capacity = 0, quota.interval * quota.burst
    if kept[place] then
        local interval = kept[place][2]
        debt = math.max(kept[place][1] - now, 0)
        if debt > 0 and interval ~= quota.interval then
            local part = math.fmod(debt, interval)
            local units = (debt - part) / interval
            if units >= quota.burst then
                debt = capacity
            else
                debt = units * quota.interval + share(part, quota.interval, interval)
            end
        end
        debt = math.min(debt, capacity)
    end
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
        texts[place] = string.format('%.0f/%.0f', now + debt, quotas[place].interval)
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
