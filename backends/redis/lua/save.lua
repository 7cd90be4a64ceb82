-- Keeps the snapshot of a fold ARGV[2] of the stream ARGV[1], of version ARGV[3] with the data ARGV[4], unless there is a newer one.
local key = P .. 'snapshot:' .. ARGV[1]
local version = tonumber(call('HGET', key, 'v:' .. ARGV[2]) or '0')
if version < tonumber(ARGV[3]) then
  call('HSET', key, 'v:' .. ARGV[2], ARGV[3], 'd:' .. ARGV[2], ARGV[4])
end
