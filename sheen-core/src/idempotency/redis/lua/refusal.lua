-- What a beginning is refused with. ARGV[2] fingerprint.
if record and not (done and ends <= now) then
    if fingerprint ~= ARGV[2] then
        return { 'reused' }
    end
    if done then
        return { 'replay', string.sub(record, 73) }
    end
    if now < ends then
        return { 'running' }
    end
end
