-- What a commit changes besides the log.
local rosters, windows = 0, 0

local function cancel(id)
  local key = P .. 'schedule:' .. id
  local member = call('LINDEX', key, 0)
  if member then
    call('ZREM', P .. 'due', member)
    call('DEL', key)
  end
end

-- schedule keeps a schedule as a list: its place in order, when it is due, and its append as it came.
local function schedule(s, made)
  local key, a = P .. 'schedule:' .. s.id, s.append
  local member = fmt('%016.0f:', call('HINCRBY', P .. 'meta', 'schedules', 1)) .. s.id
  call('RPUSH', key, member, s.due)
  for i = s.from, s.to, 1000 do
    call('RPUSH', key, unpack(ARGV, i, math.min(i + 999, s.to)))
  end
  call('ZADD', P .. 'due', s.due, member)
  call('HSET', timers(s.id), sub(s.bytes, 1, 14), made)
  for i = a.base, a.base + STRIDE * (a.n - 1), STRIDE do
    call('HSET', bucket(a.src[i]), sub(a.src[i + 1], 1, 14), 'r')
  end
end

-- redriven tells the owners of a consumer that there is something to be done.
local function redriven(consumer)
  local key = P .. 'consumer:' .. consumer
  if call('EXISTS', key) == 1 then
    call('HINCRBY', key, 'redrives', 1)
    rosters = rosters + 1
  end
end

-- park puts an entry into its place. It keeps when it was first parked.
local function park(i, since)
  local id, consumer, position = ARGV[i], ARGV[i + 1], ARGV[i + 4]
  local key = P .. 'parked:' .. id
  local before = call('HGET', key, 'consumer')
  if before and before ~= consumer then
    call('ZREM', P .. 'pc:' .. before, id)
  end
  call('HSET', key, 'consumer', consumer, 'partition', ARGV[i + 2], 'key', ARGV[i + 3], 'position', position, 'event', ARGV[i + 5],
    'attempts', ARGV[i + 6], 'failures', ARGV[i + 7], 'due', ARGV[i + 8], 'redriven', '0', 'at', since)
  call('ZADD', P .. 'parked', position, id)
  call('ZADD', P .. 'pc:' .. consumer, position, id)
end

local function parkings(c)
  local since = {}
  for k, i in ipairs(c.p or NONE) do
    since[k] = call('HGET', P .. 'parked:' .. ARGV[i], 'at') or fmt('%.0f', now)
  end
  for _, i in ipairs(c.n or NONE) do
    local key = P .. 'parked:' .. ARGV[i]
    local consumer = call('HGET', key, 'consumer')
    if not c.c then
      redriven(consumer)
    end
    call('DEL', key)
    call('ZREM', P .. 'parked', ARGV[i])
    call('ZREM', P .. 'pc:' .. consumer, ARGV[i])
  end
  for k, i in ipairs(c.p or NONE) do
    park(i, since[k])
  end
  for _, i in ipairs(c.x or NONE) do
    local key = P .. 'parked:' .. ARGV[i]
    local consumer = call('HGET', key, 'consumer')
    if consumer then
      call('HSET', key, 'redriven', '1')
      redriven(consumer)
    end
  end
end

-- A window is a stream of what is in somebody's hands, with a consumer group; a hash of all that is not done; and what waits, by
-- position, and what is in hands or to come later, by time.
local PART = 1000 -- as many of them as one call is for

-- done has a delivery removed whose record, and so its entry, is known.
local function done(w, id, entry_id)
  w.done[#w.done + 1] = id
  w.entries[#w.entries + 1] = entry_id
end

-- clear removes the entries from first to last of what is done from the stream: all of it if nothing else is in hands; by whole pages
-- up to the first that is, which costs next to nothing; and one by one, as soon as that one has had many wait behind it.
local MANY = 1000
local function clear(w, first, last)
  local held = call('XPENDING', w.stream, 'workers')
  if held[1] == 0 then
    call('XTRIM', w.stream, 'MAXLEN', 0)
  elseif call('XLEN', w.stream) - held[1] < MANY then
    call('XTRIM', w.stream, 'MINID', '~', held[2])
  else
    call('XDEL', w.stream, unpack(w.entries, first, last))
  end
end

-- remove removes what is done.
local function remove()
  for consumer, w in pairs(changes) do
    for i = 1, #w.done, PART do
      local last = math.min(i + PART - 1, #w.done)
      call('XACK', w.stream, 'workers', unpack(w.entries, i, last))
      clear(w, i, last)
      call('HDEL', w.records, unpack(w.done, i, last))
      if call('ZREM', P .. 'wl:' .. consumer, unpack(w.done, i, last)) <= last - i then -- some whose time had passed
        call('ZREM', P .. 'wr:' .. consumer, unpack(w.done, i, last))
      end
    end
  end
end

-- acknowledge decides commits that are but an acknowledgement each, of one consumer: the ids and attempts from first to last.
local function acknowledge(consumer, first, last, outcomes)
  local w = window_of(consumer)
  for from = first, last, 2 * PART do
    local ids = {}
    for i = from, math.min(from + 2 * PART - 1, last), 2 do
      ids[#ids + 1] = ARGV[i]
    end
    for k, record in ipairs(call('HMGET', w.records, unpack(ids))) do
      local entry_id = held(record, ARGV[from + 2 * k - 1])
      if entry_id then
        done(w, ids[k], entry_id)
        windows = windows + 1
      end
      outcomes[#outcomes + 1] = entry_id and WRITTEN or { GONE, consumer, ids[k] }
    end
  end
end

local function give_back(i)
  local consumer, id, due = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local w = window_of(consumer)
  local attempt, entry_id, rest = string.match(call('HGET', w.records, id), '^(%d+) %d (%S+) %d+ (.*)$')
  call('XACK', w.stream, 'workers', entry_id)
  call('XDEL', w.stream, entry_id)
  local lines = {}
  for line in string.gmatch(rest .. '\n' .. ARGV[i + 4], '[^\n]+') do
    lines[#lines + 1] = line
  end
  while #lines > 33 do -- the place and the event, and 32 failures
    table.remove(lines, 2)
  end
  call('HSET', w.records, id, attempt .. ' 0 - ' .. due .. ' ' .. table.concat(lines, '\n'))
  call('ZREM', P .. 'wr:' .. consumer, id)
  call('ZADD', P .. 'wl:' .. consumer, due, id)
end

-- deliver puts what is new into the window of a consumer, all of list from first to last.
local function deliver(consumer, list, first, last)
  local ids, records, ready = {}, {}, {}
  for k = first, last do
    ids[#ids + 1] = ARGV[list[k] + 1]
  end
  for k, there in ipairs(call('HMGET', window_of(consumer).records, unpack(ids))) do
    if not there then
      local i = list[first + k - 1]
      records[#records + 1], records[#records + 2] = ids[k], '0 0 - 0 ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3]
      ready[#ready + 1], ready[#ready + 2] = ARGV[i + 2], ids[k]
    end
  end
  if #records > 0 then
    call('HSET', window_of(consumer).records, unpack(records))
    call('ZADD', P .. 'wr:' .. consumer, unpack(ready))
  end
end

local function deliveries(c)
  for _, i in ipairs(c.a or NONE) do
    local w = window_of(ARGV[i])
    done(w, ARGV[i + 1], held(call('HGET', w.records, ARGV[i + 1]), ARGV[i + 2]))
  end
  for _, i in ipairs(c.r or NONE) do
    give_back(i)
  end
  local list, first = c.d or NONE, 1
  for k = 1, #list do
    if k == #list or ARGV[list[k + 1]] ~= ARGV[list[k]] or k - first + 1 == PART then
      deliver(ARGV[list[k]], list, first, k)
      first = k + 1
    end
  end
  if c.a or c.r or c.d then
    windows = windows + 1
  end
end

local function checkpoints(c)
  for _, i in ipairs(c.c or NONE) do
    if ARGV[i + 3] ~= ARGV[i + 4] then
      call('HSET', P .. 'consumer:' .. ARGV[i], 'p:' .. ARGV[i + 1], ARGV[i + 4], 'l:' .. ARGV[i + 1], '0')
    end
  end
end
