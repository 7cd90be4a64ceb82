-- Removes the version ARGV[2] of the view ARGV[1], with its rows and its consumer. It returns what refuses that, or nothing.
local t = ARGV[1] .. '_v' .. ARGV[2]
if call('HGET', P .. 'serving', ARGV[1]) == ARGV[2] then
  return 'serves'
end
local members = roster(t, clock())[6]
if members and #members > 0 then
  return tostring(#members)
end
if call('EXISTS', view_key(t)) == 1 then
  empty_rows(t)
end
call('DEL', view_key(t), consumer_key(t))
call('SREM', P .. 'versions:' .. ARGV[1], ARGV[2])
call('SREM', P .. 'consumers', t)
for _, id in ipairs(call('ZRANGE', P .. 'pc:' .. t, 0, -1)) do
  call('DEL', P .. 'parked:' .. id)
  call('ZREM', P .. 'parked', id)
end
call('DEL', P .. 'pc:' .. t)
changed()
return ''
