-- Returns the version that serves of the view ARGV[1], and of each version its number and whether it is complete.
local list = { call('HGET', P .. 'serving', ARGV[1]) or '' }
for _, v in ipairs(call('SMEMBERS', P .. 'versions:' .. ARGV[1])) do
  list[#list + 1] = v
  list[#list + 1] = call('HGET', view_key(ARGV[1] .. '_v' .. v), 'complete')
end
return list
