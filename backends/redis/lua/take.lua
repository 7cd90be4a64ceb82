-- Hands out up to ARGV[2] deliveries of the consumer ARGV[1], in order of position, for ARGV[3] microseconds, to the worker
-- ARGV[4] of its group. ARGV[5] is 1 to forget workers that have nothing and have not been seen for a minute. It returns of each
-- delivery its id and its record: see fences.lua.
local consumer, limit, worker = ARGV[1], tonumber(ARGV[2]), ARGV[4]
local about = call('HMGET', P .. 'consumer:' .. consumer, 'generation', 'paused')
if not about[1] or about[2] == '1' then
  return {}
end
local records, ready, later, stream = P .. 'wd:' .. consumer, P .. 'wr:' .. consumer, P .. 'wl:' .. consumer, P .. 'w:' .. consumer
local now = clock()

-- What has not been done in time, and what was to come later, can be taken again.
local ended = call('ZRANGEBYSCORE', later, '-inf', now)
for _, id in ipairs(ended) do
  call('ZADD', ready, string.match(call('HGET', records, id), '^%d+ %d %S+ %d+ (%d+)'), id)
end
if #ended > 0 then
  call('ZREMRANGEBYSCORE', later, '-inf', now)
end
local ids = call('ZRANGE', ready, 0, limit - 1)
if call('EXISTS', stream) == 0 then
  if #ids == 0 then
    return {}
  end
  call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
end

-- What somebody has let lie passes to this worker; the rest is put into the stream, and read by it.
local taken, fresh, due = {}, 0, fmt('%.0f', now + tonumber(ARGV[3]))
for k, id in ipairs(ids) do
  local attempt, entry, rest = string.match(call('HGET', records, id), '^(%d+) %d (%S+) %d+ (.*)$')
  if entry == '-' then
    local position, event = string.match(rest, '^(%d+) ([^\n]+)')
    entry = call('XADD', stream, '*', 'delivery', id, 'position', position, 'event', event)
    fresh = fresh + 1
  else
    call('XCLAIM', stream, 'workers', worker, 0, entry, 'RETRYCOUNT', attempt + 1, 'JUSTID')
  end
  local record = fmt('%.0f 1 %s %s %s', attempt + 1, entry, due, rest)
  call('HSET', records, id, record)
  call('ZREM', ready, id)
  call('ZADD', later, due, id)
  taken[k] = { id, record }
end
if fresh > 0 then
  call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', fresh, 'STREAMS', stream, '>')
end
if ARGV[5] == '1' then
  for _, w in ipairs(call('XINFO', 'CONSUMERS', stream, 'workers')) do -- name, n, pending, n, idle, n
    if w[4] == 0 and w[6] > 60000 and w[2] ~= worker then
      call('XGROUP', 'DELCONSUMER', stream, 'workers', w[2])
    end
  end
end
return taken
