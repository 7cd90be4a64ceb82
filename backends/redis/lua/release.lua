-- Gives back those of the leases ARGV[2], ... (of each consumer, partition and epoch) that still are of the member ARGV[1].
for i = 2, #ARGV, 3 do
  local key, n = consumer_key(ARGV[i]), ARGV[i + 1]
  local lane = call('HMGET', key, 'o:' .. n, 'e:' .. n)
  if lane[1] == ARGV[1] and lane[2] == ARGV[i + 2] then
    call('HSET', key, 'o:' .. n, '', 'l:' .. n, '0')
  end
end
changed()
