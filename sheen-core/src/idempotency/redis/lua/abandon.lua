-- ARGV[2] token.
if not record or token ~= ARGV[2] or done then
    return { 'lost' }
end
redis.call('DEL', KEYS[1])
return { 'done' }
