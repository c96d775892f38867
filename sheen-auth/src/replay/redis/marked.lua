-- Whether a v1 signature is marked. KEYS[1] as in claim.lua; ARGV: now (empty: the server's), digest.
local until_when = redis.call('ZSCORE', KEYS[1], ARGV[2])
if until_when and tonumber(until_when) >= now_millis() then
    return 'marked'
end
return 'free'
