local record = load()
if not record or record.ends > now then
    return { 'kept' }
end
redis.call('DEL', KEYS[1])
return { 'reaped' }
