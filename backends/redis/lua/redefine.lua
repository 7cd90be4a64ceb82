-- Replaces the definition of the consumer ARGV[1] by ARGV[2], with ARGV[3] partitions and whether it competes, provided that its
-- generation is ARGV[5]. It returns the generation and definition that the log has now, or what refuses it.
local key = consumer_key(ARGV[1])
local about = call('HMGET', key, 'generation', 'partitions')
if about[1] ~= ARGV[5] then
  return { 'generation' }
end
local before, after = tonumber(about[2]), tonumber(ARGV[3])
if before ~= after then
  local at, epoch = call('HGET', key, 'p:0'), 0
  for n = 0, before - 1 do
    if call('HGET', key, 'p:' .. n) ~= at then
      return { 'positions' }
    end
    epoch = math.max(epoch, tonumber(call('HGET', key, 'e:' .. n)))
  end
  for n = 0, before - 1 do
    call('HDEL', key, 'e:' .. n, 'p:' .. n, 'o:' .. n, 'l:' .. n)
  end
  for n = 0, after - 1 do -- a former owner must not have the right epoch
    call('HSET', key, 'e:' .. n, epoch, 'p:' .. n, at, 'o:' .. n, '', 'l:' .. n, '0')
  end
end
call('HSET', key, 'def', ARGV[2], 'partitions', ARGV[3], 'competing', ARGV[4])
call('HINCRBY', key, 'generation', 1)
move(key)
local name = ARGV[1]
for _, m in ipairs(call('HKEYS', P .. 'runs')) do -- they run what was
  local kept = {}
  for c in string.gmatch(call('HGET', P .. 'runs', m), '[^%z]+') do
    if c ~= name then
      kept[#kept + 1] = c
    end
  end
  call('HSET', P .. 'runs', m, table.concat(kept, '\0'))
end
changed()
return call('HMGET', key, 'generation', 'def')
