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
local function release(consumer, entry_id)
  if entry_id ~= '-' then
    call('XACK', P .. 'w:' .. consumer, 'workers', entry_id)
    call('XDEL', P .. 'w:' .. consumer, entry_id)
  end
end

local function deliveries(c)
  for _, i in ipairs(c.a or NONE) do
    local consumer, id = ARGV[i], ARGV[i + 1]
    local d = call('HGET', P .. 'wd:' .. consumer, id)
    release(consumer, string.match(d, '^%d+ %d (%S+)'))
    call('HDEL', P .. 'wd:' .. consumer, id)
    call('ZREM', P .. 'wl:' .. consumer, id)
    call('ZREM', P .. 'wr:' .. consumer, id)
  end
  for _, i in ipairs(c.r or NONE) do
    local consumer, id, due = ARGV[i], ARGV[i + 1], ARGV[i + 3]
    local attempt, entry_id, rest = string.match(call('HGET', P .. 'wd:' .. consumer, id), '^(%d+) %d (%S+) %d+ (.*)$')
    release(consumer, entry_id)
    local lines = {}
    for line in string.gmatch(rest .. '\n' .. ARGV[i + 4], '[^\n]+') do
      lines[#lines + 1] = line
    end
    while #lines > 33 do -- the place and the event, and 32 failures
      table.remove(lines, 2)
    end
    call('HSET', P .. 'wd:' .. consumer, id, attempt .. ' 0 - ' .. due .. ' ' .. table.concat(lines, '\n'))
    call('ZREM', P .. 'wr:' .. consumer, id)
    call('ZADD', P .. 'wl:' .. consumer, due, id)
  end
  for _, i in ipairs(c.d or NONE) do
    local consumer, id, position = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if call('HSETNX', P .. 'wd:' .. consumer, id, '0 0 - 0 ' .. position .. ' ' .. ARGV[i + 3]) == 1 then
      call('ZADD', P .. 'wr:' .. consumer, position, id)
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
