-- ARGV[2] token, ARGV[3] life of the answer in ms, ARGV[4…7] status, headers, body, request id.
local record = load()
if not record or record.token ~= ARGV[2] or record.forgotten then
    return { 'lost' }
end
if record.done then
    local answer = redis.call('HMGET', KEYS[1], 's', 'h', 'b', 'r')
    for place = 1, 4 do
        if answer[place] ~= ARGV[place + 3] then
            return { 'lost' }
        end
    end
    return { 'done' }
end
redis.call('HSET', KEYS[1], 's', ARGV[4], 'h', ARGV[5], 'b', ARGV[6], 'r', ARGV[7])
live(tonumber(ARGV[3]))
return { 'done' }
