-- Indexes are lists of positions, oldest first. An entry of the log is
-- { id, { 'type', t, 'stream', s, 'version', v, 'first', f, 'id', i, 'tags', g, 'meta', m, 'time', u, 'data', d } }.

-- above returns where in an index the positions after one begin, and how long the index is: the same if there are none. Most
-- who ask were at the end a moment ago, so it looks from there, in steps that double.
local function above(key, after)
  local n = call('LLEN', key)
  if n == 0 or tonumber(call('LINDEX', key, -1)) <= after then
    return n, n
  end
  if after <= 0 then
    return 0, n
  end
  local hi, step = n - 1, 1
  while hi - step >= 0 and tonumber(call('LINDEX', key, hi - step)) > after do
    hi, step = hi - step, step * 2
  end
  local lo = math.max(hi - step, -1)
  while hi - lo > 1 do
    local mid = math.floor((lo + hi) / 2)
    if tonumber(call('LINDEX', key, mid)) > after then
      hi = mid
    else
      lo = mid
    end
  end
  return hi, n
end

-- entry returns the fields of the event at a position, or nil.
local function entry(p)
  local id = fmt('%.0f-0', p)
  local found = call('XRANGE', log, id, id)[1]
  return found and found[2]
end

-- parse_items reads the items of a query from arguments: of each its stream, category, types and tags.
local function parse_items(src, at, n)
  local items = {}
  for i = 1, n do
    local it = { stream = src[at], category = src[at + 1], types = {}, tags = {} }
    local k = tonumber(src[at + 2])
    at = at + 3
    for j = 1, k do
      it.types[j] = src[at]
      at = at + 1
    end
    k = tonumber(src[at])
    at = at + 1
    for j = 1, k do
      it.tags[j] = src[at]
      at = at + 1
    end
    items[i] = it
  end
  return items, at
end

-- indexes returns the indexes that together hold every event an item may match, nil if that is the whole log; and whether
-- they hold no other event.
local function indexes(it)
  local types, tags = #it.types, #it.tags
  if it.stream ~= '' then
    return { P .. 's:' .. it.stream }, it.category == '' and types + tags == 0
  end
  if tags > 0 then
    local key, least
    for _, tag in ipairs(it.tags) do
      local k = P .. 'g:' .. tag
      local n = tags == 1 and 0 or call('LLEN', k)
      if not least or n < least then
        key, least = k, n
      end
    end
    return { key }, tags == 1 and types == 0 and it.category == ''
  end
  if types > 0 then
    local keys = {}
    for i, t in ipairs(it.types) do
      keys[i] = P .. 't:' .. t
    end
    return keys, it.category == ''
  end
  if it.category ~= '' then
    return { P .. 'c:' .. it.category }, true
  end
  return nil, true
end

local function contains(list, x)
  for _, y in ipairs(list) do
    if x == y then
      return true
    end
  end
  return false
end

-- matches reports whether an item selects the event with these fields.
local function matches(it, f)
  local stream = f[4]
  if it.stream ~= '' and it.stream ~= stream then
    return false
  end
  if it.category ~= '' and it.category ~= string.match(stream, '^[^-]*') then
    return false
  end
  if #it.types > 0 and not contains(it.types, f[2]) then
    return false
  end
  if #it.tags > 0 then
    local tags = '\0' .. f[12] .. '\0'
    for _, t in ipairs(it.tags) do
      if not string.find(tags, '\0' .. t .. '\0', 1, true) then
        return false
      end
    end
  end
  return true
end

-- first_in returns the first position after one, in an index, whose event an item selects; nil if there is none before best.
local function first_in(key, it, exact, after, best)
  local i, n = above(key, after)
  if i == n then
    return nil
  end
  if exact then
    return tonumber(call('LINDEX', key, i))
  end
  while i < n do
    for _, p in ipairs(call('LRANGE', key, i, i + 63)) do
      p = tonumber(p)
      if best and p >= best then
        return nil
      end
      if matches(it, entry(p)) then
        return p
      end
    end
    i = i + 64
  end
  return nil
end

-- first_match returns the first position after one whose event some item selects, or nil.
local function first_match(items, after, head)
  local best
  if after >= head then
    return nil
  end
  for _, it in ipairs(items) do
    local keys, exact = indexes(it)
    if not keys then
      return after + 1
    end
    for _, key in ipairs(keys) do
      local p = first_in(key, it, exact, after, best)
      if p and (not best or p < best) then
        best = p
      end
    end
  end
  return best
end
