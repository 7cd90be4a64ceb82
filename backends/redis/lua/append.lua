-- Appending: an append is its stream, its category, the least and greatest version expected ('' for any), the number of its
-- events, and of each event its id, the same as the first 14 of its bytes, type, metadata, tags separated by NUL, and data.
local STRIDE = 6

local head, time, roster, window = pulse()
local now = math.max(clock(), time)
local began = head
local versions, index, order = {}, {}, {}

-- version is that of a stream, with what the script has appended.
local function version(stream)
  local v = versions[stream]
  if not v then
    v = call('LLEN', P .. 's:' .. stream)
    versions[stream] = v
  end
  return v
end

-- indexed puts a position into an index when the script ends: one call for all of an index.
local function indexed(key, p)
  local list = index[key]
  if not list then
    list = {}
    index[key] = list
    order[#order + 1] = key
  end
  list[#list + 1] = p
end

-- parse_append reads an append, and returns where it ends.
local function parse_append(src, at)
  local n = tonumber(src[at + 4])
  local a = { src = src, stream = src[at], category = src[at + 1], least = src[at + 2], most = src[at + 3], n = n, base = at + 5 }
  return a, at + 5 + STRIDE * n
end

-- bucket is where an event's id is found: a small hash, by the last two bytes.
local function bucket(id)
  return P .. 'i:' .. sub(id, 33)
end

-- write appends events that nothing refuses any more. first is the position of the first event of their commit.
local function write(a, first)
  local src, stream, category = a.src, a.stream, P .. 'c:' .. a.category
  local versions_key = P .. 's:' .. stream
  local v = version(stream)
  local began_at, time_text = fmt('%.0f', first), fmt('%.0f', now)
  for i = a.base, a.base + STRIDE * (a.n - 1), STRIDE do
    local id, tags = src[i], src[i + 4]
    head, v = head + 1, v + 1
    local place = fmt('%.0f', head) -- for all of the calls: each would format a number anew
    call('XADD', log, place .. '-0', 'type', src[i + 2], 'stream', stream, 'version', fmt('%.0f', v), 'first', began_at, 'id', id,
      'tags', tags, 'meta', src[i + 3], 'time', time_text, 'data', src[i + 5])
    call('HSET', bucket(id), src[i + 1], place)
    indexed(versions_key, place)
    indexed(P .. 't:' .. src[i + 2], place)
    indexed(category, place)
    if tags ~= '' then
      for tag in string.gmatch(tags, '[^%z]+') do
        indexed(P .. 'g:' .. tag, place)
      end
    end
  end
  versions[stream] = v
  return v
end

-- finish writes the indexes, and the pulse if anything has changed that it tells. unpack takes some thousand values at most.
local function finish(rosters, windows)
  for _, key in ipairs(order) do
    local list = index[key]
    for i = 1, #list, 1000 do
      call('RPUSH', key, unpack(list, i, math.min(i + 999, #list)))
    end
  end
  local last = head > began and now or time
  if rosters > 0 or windows > 0 then
    beat(head, last, roster + rosters, window + windows)
  elseif head > began then
    set_pulse(head, last, roster, window)
  end
end
