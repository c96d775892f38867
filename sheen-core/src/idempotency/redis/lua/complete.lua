-- ARGV[2] token, ARGV[3] life of the answer in ms, ARGV[4] the answer.
if not record or token ~= ARGV[2] then
    return { 'lost' }
end
if not done then
    put(fingerprint, token, tonumber(ARGV[3]), ARGV[4])
    return { 'done' }
end
if now < ends and string.sub(record, 73) == ARGV[4] then
    return { 'done' }
end
return { 'lost' }
