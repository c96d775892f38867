if not record or ends > now then
    return { 'kept' }
end
redis.call('DEL', KEYS[1])
return { 'reaped' }
