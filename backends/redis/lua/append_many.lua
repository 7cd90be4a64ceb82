-- Decides a batch of commits that only append, each by itself, as commit.lua does, in as few calls as that takes. ARGV is of each
-- commit the number of its appends, and of each append its stream, its category, the least and greatest version expected ('' for
-- any), the number of its events, and of each event its id, what of that is its field, type, metadata, tags separated by NUL, and
-- data. It returns, one behind the other, of each commit the position of its last event and the versions of its streams; or 0, the
-- number of the append that is not as expected, and the version; or -1 if an id is known: then only the long way tells whether
-- this is the same commit again.
local STRIDE = 6
local head, time, roster, window = pulse()
local began, now = head, math.max(clock(), time)
local at_time = fmt('%d', now)
local out, n = {}, 0
local types, categories, tagged = {}, {}, {}

local function listed(index, name, p)
  local list = index[name]
  if list then
    list[#list + 1] = p
  else
    index[name] = { p }
  end
end

local function push(key, list)
  for i = 1, #list, 1000 do
    call('RPUSH', key, unpack(list, i, math.min(i + 999, #list)))
  end
end

-- any_known reports whether an event of a commit is known by its id.
local function any_known(appends)
  for _, at in ipairs(appends) do
    for i = at + 5, at + 5 + STRIDE * (ARGV[at + 4] - 1), STRIDE do
      if call('HEXISTS', P .. 'i:' .. sub(ARGV[i], 33), ARGV[i + 1]) == 1 then
        return true
      end
    end
  end
  return false
end

-- unexpected returns which append meets another version, and that.
local function unexpected(appends)
  for k = 1, #appends do
    local at = appends[k]
    local least = ARGV[at + 2]
    if least ~= '' then
      local v = call('LLEN', P .. 's:' .. ARGV[at])
      if v < tonumber(least) or v > tonumber(ARGV[at + 3]) then
        return k, v
      end
    end
  end
end

-- claim gives the ids of a commit their positions, and returns these as texts; or nil, and where the first id is that is known: those
-- before it are to be given back.
local function claim(appends)
  local places, p = {}, head
  for k = 1, #appends do
    local at = appends[k]
    for i = at + 5, at + 5 + STRIDE * (ARGV[at + 4] - 1), STRIDE do
      p = p + 1
      local place = fmt('%d', p)
      if call('HSETNX', P .. 'i:' .. sub(ARGV[i], 33), ARGV[i + 1], place) == 0 then
        return nil, i
      end
      places[p - head] = place
    end
  end
  return places
end

-- disclaim gives back the ids of a commit before one.
local function disclaim(appends, before)
  for _, at in ipairs(appends) do
    for i = at + 5, at + 5 + STRIDE * (ARGV[at + 4] - 1), STRIDE do
      if i == before then
        return
      end
      call('HDEL', P .. 'i:' .. sub(ARGV[i], 33), ARGV[i + 1])
    end
  end
end

local function write(appends, places)
  local first, done = places[1], 0
  out[n + 1] = head + #places
  for k = 1, #appends do
    local at = appends[k]
    local stream, category, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 4])
    local version
    for i = done + 1, done + count, 1000 do
      version = call('RPUSH', P .. 's:' .. stream, unpack(places, i, math.min(i + 999, done + count)))
    end
    for j = 1, count do
      local i, place = at + 5 + STRIDE * (j - 1), places[done + j]
      local kind, tags = ARGV[i + 2], ARGV[i + 4]
      call('XADD', log, place .. '-0', 'type', kind, 'stream', stream, 'version', fmt('%d', version - count + j), 'first', first,
        'id', ARGV[i], 'tags', tags, 'meta', ARGV[i + 3], 'time', at_time, 'data', ARGV[i + 5])
      listed(types, kind, place)
      listed(categories, category, place)
      if tags ~= '' then
        for tag in string.gmatch(tags, '[^%z]+') do
          listed(tagged, tag, place)
        end
      end
    end
    done = done + count
    out[n + 1 + k] = version
  end
  n, head = n + 1 + #appends, head + done
end

local at, last = 1, #ARGV
while at < last do
  local appends = {}
  local count = tonumber(ARGV[at])
  at = at + 1
  for k = 1, count do
    appends[k] = at
    at = at + 5 + STRIDE * ARGV[at + 4]
  end
  local k, v = unexpected(appends)
  if not k then
    local places, known = claim(appends)
    if places then
      write(appends, places)
    else
      disclaim(appends, known)
      n = n + 1
      out[n] = -1
    end
  elseif any_known(appends) then
    n = n + 1
    out[n] = -1
  else
    out[n + 1], out[n + 2], out[n + 3] = 0, k, v
    n = n + 3
  end
end
for name, list in pairs(types) do
  push(P .. 't:' .. name, list)
end
for name, list in pairs(categories) do
  push(P .. 'c:' .. name, list)
end
for name, list in pairs(tagged) do
  push(P .. 'g:' .. name, list)
end
if head > began then
  set_pulse(head, now, roster, window)
end
return out
