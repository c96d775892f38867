-- ARGV[2] token, ARGV[3] lease in ms.
local record = load()
if not record or record.token ~= ARGV[2] or record.done then
    return { 'lost' }
end
return { 'extended', live(tonumber(ARGV[3])) }
