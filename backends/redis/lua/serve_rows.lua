-- Has the version ARGV[2] of the view ARGV[1] serve. It returns what refuses that, or nothing.
local t = ARGV[1] .. '_v' .. ARGV[2]
if call('EXISTS', view_key(t)) == 0 then
  return 'gone'
end
local key = consumer_key(t)
local about = call('HMGET', key, 'partitions', 'history')
for n = 0, tonumber(about[1] or '0') - 1 do
  if tonumber(call('HGET', key, 'p:' .. n)) < tonumber(about[2]) then
    return 'behind'
  end
end
call('HSET', view_key(t), 'complete', '1')
call('HSET', P .. 'serving', ARGV[1], ARGV[2])
return ''
