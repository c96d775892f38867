-- ARGV[2] token.
local record = load()
if not record or record.token ~= ARGV[2] or record.done then
    return { 'lost' }
end
redis.call('DEL', KEYS[1])
return { 'done' }
