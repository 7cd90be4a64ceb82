-- Makes the consumer ARGV[1] known, by its definition, number of partitions and whether it competes, unless it is known. It returns the
-- generation and definition that the log has.
local key = consumer_key(ARGV[1])
if call('EXISTS', key) == 0 then
  if call('EXISTS', view_key(ARGV[1])) == 1 then -- its rows are what a consumer has folded that is gone
    empty_rows(ARGV[1])
  end
  call('HSET', key, 'def', ARGV[2], 'generation', '1', 'competing', ARGV[4], 'paused', '0', 'redrives', '0', 'history', (pulse()),
    'partitions', ARGV[3])
  for n = 0, tonumber(ARGV[3]) - 1 do
    call('HSET', key, 'e:' .. n, '0', 'p:' .. n, '0', 'o:' .. n, '', 'l:' .. n, '0')
  end
  call('SADD', P .. 'consumers', ARGV[1])
end
return call('HMGET', key, 'generation', 'def')
