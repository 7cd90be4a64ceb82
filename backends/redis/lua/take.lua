-- Hands out up to ARGV[2] deliveries of the consumer ARGV[1], and ARGV[3] more, but no more than ARGV[2] of those that were handed out
-- before: in order of position, for ARGV[4] microseconds, to the worker ARGV[6] of its group. ARGV[5] is the generation that the
-- consumer has to be of, 0 for any. ARGV[7] is 1 to forget workers that have nothing and have not been seen for a minute. It returns
-- of each delivery its id and its record: see fences.lua.
local consumer, limit, most, worker = ARGV[1], tonumber(ARGV[2]), ARGV[2] + ARGV[3], ARGV[6]
local about = call('HMGET', P .. 'consumer:' .. consumer, 'generation', 'paused')
if not about[1] or about[2] == '1' or ARGV[5] ~= '0' and ARGV[5] ~= about[1] then
  return {}
end
local records, ready, later, stream = P .. 'wd:' .. consumer, P .. 'wr:' .. consumer, P .. 'wl:' .. consumer, P .. 'w:' .. consumer
local now, PAGE = clock(), 1000 -- as many as one call is for

-- What has not been done in time, and what was to come later, can be taken again.
local ended = call('ZRANGEBYSCORE', later, '-inf', now)
for i = 1, #ended, PAGE do
  local scores, last = {}, math.min(i + PAGE - 1, #ended)
  for k, record in ipairs(call('HMGET', records, unpack(ended, i, last))) do
    scores[2 * k - 1], scores[2 * k] = string.match(record, '^%d+ %d %S+ %d+ (%d+)'), ended[i + k - 1]
  end
  call('ZADD', ready, unpack(scores))
end
if #ended > 0 then
  call('ZREMRANGEBYSCORE', later, '-inf', now)
end

-- What is taken: of a window of which much was handed out before, that may be a page further on. What is new is as deliver in
-- change.lua makes it.
local NEW = '0 0 - 0 '
local ids, taken, n, again, passed, at = {}, {}, 0, 0, false, 0
while n < most do
  local page = call('ZRANGE', ready, at, at + math.min(most, PAGE) - 1)
  if #page == 0 then
    break
  end
  at = at + #page
  for k, record in ipairs(call('HMGET', records, unpack(page))) do
    local before = sub(record, 1, 8) ~= NEW
    if n == most then
      break
    elseif before and again == limit then
      passed = true -- somebody else is to have it
    else
      again = again + (before and 1 or 0)
      n = n + 1
      ids[n], taken[n] = page[k], record
    end
  end
end
if n == 0 and ARGV[7] ~= '1' then
  return {}
end
if call('EXISTS', stream) == 0 then
  if n == 0 then
    return {}
  end
  call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
end

-- What somebody has let lie passes to this worker; the rest is put into the stream, and read by it.
local fresh, due, reply, dues = 0, fmt('%.0f', now + tonumber(ARGV[4])), {}, {}
local first, behind = '1 1 ', ' ' .. due .. ' '
for k = 1, n do
  local id, record = ids[k], taken[k]
  if sub(record, 1, 8) == NEW then
    local rest = sub(record, 9)
    record = first .. call('XADD', stream, '*', 'delivery', id .. ' ' .. rest) .. behind .. rest
    fresh = fresh + 1
  else
    local attempt, entry, rest = string.match(record, '^(%d+) %d (%S+) %d+ (.*)$')
    if entry == '-' then
      entry = call('XADD', stream, '*', 'delivery', id .. ' ' .. string.match(rest, '^[^\n]+'))
      fresh = fresh + 1
    else
      call('XCLAIM', stream, 'workers', worker, 0, entry, 'RETRYCOUNT', attempt + 1, 'JUSTID')
    end
    record = fmt('%.0f 1 %s %s %s', attempt + 1, entry, due, rest)
  end
  reply[2 * k - 1], reply[2 * k], dues[2 * k - 1], dues[2 * k] = id, record, due, id
end
for i = 1, n, PAGE do
  local last = math.min(i + PAGE - 1, n)
  call('HSET', records, unpack(reply, 2 * i - 1, 2 * last))
  call('ZADD', later, unpack(dues, 2 * i - 1, 2 * last))
  if passed then
    call('ZREM', ready, unpack(ids, i, last))
  end
end
if n > 0 and not passed then
  call('ZREMRANGEBYRANK', ready, 0, n - 1)
end
if fresh > 0 then
  call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', fresh, 'STREAMS', stream, '>')
end
if ARGV[7] == '1' then
  for _, w in ipairs(call('XINFO', 'CONSUMERS', stream, 'workers')) do -- name, n, pending, n, idle, n
    if w[4] == 0 and w[6] > 60000 and w[2] ~= worker then
      call('XGROUP', 'DELCONSUMER', stream, 'workers', w[2])
    end
  end
end
return reply
