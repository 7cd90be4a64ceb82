-- Finds where events stand that a query may select. ARGV is the position after which to look, the one up to which (0 for the
-- head), 1 to look backward, how many positions to return, how many of their events, and the items of the query. It returns
-- the head, how far it has looked ('' if there is nothing beyond), positions in order, and the first events.
local after, upto, backward = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local most, inline = tonumber(ARGV[4]), tonumber(ARGV[5])
local head = pulse()
if upto == 0 or upto > head then
  upto = head
end

local items = parse_items(ARGV, 7, tonumber(ARGV[6]))
local keys, seen = {}, {}
for _, it in ipairs(items) do
  for _, key in ipairs(indexes(it)) do
    if not seen[key] then
      seen[key] = true
      keys[#keys + 1] = key
    end
  end
end

-- What is beyond the least that some index was looked at up to is not known to be complete.
local each = #keys <= 4 and most or math.max(16, math.floor(4 * most / #keys))
local found, known, horizon = {}, {}, nil
local function beyond(p, q)
  return backward and p < q or not backward and p > q
end

for _, key in ipairs(keys) do
  local from, n = above(key, after)
  local past = above(key, upto)
  local list, cut = {}, false
  if from < past then
    if backward then
      local begin = math.max(from, past - each)
      list, cut = call('LRANGE', key, begin, past - 1), begin > from
    else
      local last = math.min(past, from + each)
      list, cut = call('LRANGE', key, from, last - 1), last < past
    end
  end
  for _, p in ipairs(list) do
    if not known[p] then
      known[p] = true
      found[#found + 1] = tonumber(p)
    end
  end
  if cut then
    local last = tonumber(backward and list[1] or list[#list])
    if not horizon or beyond(horizon, last) then
      horizon = last
    end
  end
end
if #keys > 1 or backward then
  table.sort(found, function(p, q) return beyond(q, p) end)
end

local positions, events, reached = {}, {}, horizon
for k, p in ipairs(found) do
  if horizon and beyond(p, horizon) then
    break
  end
  if k > most then
    reached = positions[most]
    break
  end
  positions[k] = p
end

-- ranged adds the entries from the position a to b, in that order.
local function ranged(a, b)
  for _, e in ipairs(call(backward and 'XREVRANGE' or 'XRANGE', log, fmt('%.0f-0', a), fmt('%.0f-0', b))) do
    events[#events + 1] = e
  end
end

-- A few events are returned at once. Many are read from the log itself: what passes through Lua takes several times as long.
if #positions <= inline then
  local step, first = backward and -1 or 1, 1
  for k = 1, #positions do
    if positions[k + 1] ~= positions[k] + step then
      ranged(positions[first], positions[k])
      first = k + 1
    end
  end
  if #events < #positions then
    events = {} -- whoever reads them finds what is wrong
  end
end
return { head, reached or '', positions, events }
