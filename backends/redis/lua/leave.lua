-- Gives back all leases of the member ARGV[1], and forgets it.
for _, name in ipairs(call('SMEMBERS', P .. 'consumers')) do
  local key = consumer_key(name)
  for n = 0, tonumber(call('HGET', key, 'partitions')) - 1 do
    if call('HGET', key, 'o:' .. n) == ARGV[1] then
      call('HSET', key, 'o:' .. n, '', 'l:' .. n, '0')
    end
  end
end
call('ZREM', P .. 'members', ARGV[1])
call('HDEL', P .. 'runs', ARGV[1])
changed()
