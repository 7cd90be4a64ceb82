-- Returns all there is of the version ARGV[2] of the view ARGV[1], as of one moment: its columns, rows, where its consumer's partitions
-- stand, and of what is parked the keys and positions. Nothing if there is no such version.
local t = table_of(ARGV[1], ARGV[2])
if not t then
  return {}
end
local partitions, parked = {}, {}
local key = consumer_key(t)
for n = 0, tonumber(call('HGET', key, 'partitions') or '0') - 1 do
  partitions[n + 1] = call('HGET', key, 'p:' .. n)
end
for _, id in ipairs(call('ZRANGE', P .. 'pc:' .. t, 0, -1)) do
  local entry = call('HMGET', P .. 'parked:' .. id, 'key', 'position')
  parked[#parked + 1] = entry[1]
  parked[#parked + 1] = entry[2]
end
return { call('HGET', view_key(t), 'columns'), call('HGETALL', rows_key(t)), partitions, parked }
