-- What has to be true for a commit. Each of these returns what refuses it, or nil: a number, and what there is to say of that.

-- window_of is what the script changes in a consumer's window: the deliveries that are done, and their entries, which it removes
-- when all commits are decided. Until then nobody asks for them: commits of a batch share no id.
local changes = {}
local function window_of(consumer)
  local w = changes[consumer]
  if not w then
    w = { records = P .. 'wd:' .. consumer, stream = P .. 'w:' .. consumer, done = {}, entries = {} }
    changes[consumer] = w
  end
  return w
end

-- held returns the entry of a delivery that was handed out as this attempt and not returned since. A delivery is the line "attempt
-- held entry due position event", and a line of each failure.
local function held(record, attempt)
  local n, entry_id = string.match(record or '', '^(%d+) 1 (%S+)')
  return n == attempt and entry_id or nil
end

local function settled(list)
  for _, i in ipairs(list) do
    if not held(call('HGET', window_of(ARGV[i]).records, ARGV[i + 1]), ARGV[i + 2]) then
      return { GONE, ARGV[i], ARGV[i + 1] }
    end
  end
  return nil
end

-- fences checks that the committer still has the right to commit. It returns what refuses the commit, or the result of one
-- that is known by its checkpoints alone and stands already.
local function fences(c)
  local moves, done, refusal = 0, 0, nil
  for k, i in ipairs(c.c or NONE) do
    local lane = call('HMGET', P .. 'consumer:' .. ARGV[i], 'p:' .. ARGV[i + 1], 'e:' .. ARGV[i + 1])
    local stand = tonumber(lane[1])
    if not stand then
      return { FENCED, k, '', '' }
    end
    if lane[2] ~= ARGV[i + 2] then
      return { FENCED, k, lane[2], '' }
    end
    local from, to = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    if from ~= to then
      moves = moves + 1
    end
    if from ~= to and stand == to then
      done = done + 1
    elseif stand ~= from then
      refusal = { FENCED, k, lane[2], lane[1] }
    end
  end
  if refusal then
    return refusal
  end
  if moves > 0 and done == moves and #c.appends == 0 and not c.s then
    return { 0, 0 }
  end
  if done > 0 then
    return { FENCED, 0, '', '' }
  end
  for _, i in ipairs(c.n or NONE) do
    if call('EXISTS', P .. 'parked:' .. ARGV[i]) == 0 then
      return { GONE, '', ARGV[i] }
    end
  end
  return settled(c.a or NONE) or settled(c.r or NONE)
end

-- guards checks expectations and conditions.
local function guards(c)
  for k, a in ipairs(c.appends) do
    if a.least ~= '' then
      local v = version(a.stream)
      if v < tonumber(a.least) or v > tonumber(a.most) then
        return { CONFLICT, k, v }
      end
    end
  end
  for k, u in ipairs(c.u or NONE) do
    local p = first_match(u.items, u.after, head)
    if p then
      return { CONDITION, k, p }
    end
  end
  return nil
end
