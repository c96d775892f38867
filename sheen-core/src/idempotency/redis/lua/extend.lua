-- ARGV[2] token, ARGV[3] lease in ms.
if not record or token ~= ARGV[2] or done then
    return { 'lost' }
end
return { 'extended', put(fingerprint, token, tonumber(ARGV[3]), '') }
