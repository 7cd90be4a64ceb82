-- Ids, by which a commit is known that was written before.
local NONE = {}

-- An id of an event is known by its position, or as 'r' if a schedule has reserved it.
local function known(id, field)
  return call('HGET', bucket(id), field)
end

-- A schedule's id is known for ever, by the first one of its commit and by how many they were.
local function timers(id)
  return P .. 'j:' .. sub(id, 33)
end

-- scheduled_before reports whether just these schedules were made by one commit; nil if their ids overlap in any other way.
local function scheduled_before(schedules)
  local n, made, together = 0, nil, true
  for _, s in ipairs(schedules) do
    local t = call('HGET', timers(s.id), sub(s.bytes, 1, 14))
    if t then
      n = n + 1
      made = made or t
      together = together and t == made
    else
      local a = s.append
      for i = a.base, a.base + STRIDE * (a.n - 1), STRIDE do
        if known(a.src[i], a.src[i + 1]) then
          return nil
        end
      end
    end
  end
  if n > 0 and (n < #schedules or not together or tonumber(sub(made, 37)) ~= #schedules) then
    return nil
  end
  return n > 0
end

-- moved reports whether every checkpoint has been made, by this commit or with later ones on top.
local function moved(checkpoints)
  for _, i in ipairs(checkpoints) do
    local p = call('HGET', P .. 'consumer:' .. ARGV[i], 'p:' .. ARGV[i + 1])
    if not p or tonumber(p) < tonumber(ARGV[i + 4]) then
      return false
    end
  end
  return true
end

-- planned reports whether every schedule has been made.
local function planned(schedules)
  for _, s in ipairs(schedules) do
    if not call('HGET', timers(s.id), sub(s.bytes, 1, 14)) then
      return false
    end
  end
  return true
end

-- stands returns the first result of a commit whose events stand at positions, one behind the other and from the first to
-- the last of one commit; else nil.
local function stands(c, positions)
  local first, n = tonumber(positions[1]), 0
  if not first then
    return nil
  end
  local result = { 0, 0 }
  for k, a in ipairs(c.appends) do
    for _ = 1, a.n do
      local p = tonumber(positions[n + 1])
      if p ~= first + n then
        return nil
      end
      local f = entry(p)
      if tonumber(f[8]) ~= first or f[4] ~= a.stream then
        return nil
      end
      result[2], result[2 + k] = p, tonumber(f[6])
      n = n + 1
    end
  end
  local behind = entry(first + n)
  if behind and tonumber(behind[8]) == first then
    return nil
  end
  return result
end

-- sent_before returns the first result of a commit that was written before, nil for a new one, and what refuses any other use
-- of a known id.
local function sent_before(c)
  local positions, n, fresh = {}, 0, true
  for _, a in ipairs(c.appends) do
    for i = a.base, a.base + STRIDE * (a.n - 1), STRIDE do
      local p = known(a.src[i], a.src[i + 1])
      n = n + 1
      positions[n] = p
      fresh = fresh and not p
    end
  end
  if fresh and not c.s then
    return nil
  end
  if n > 0 and not fresh then
    local result = stands(c, positions)
    if result and moved(c.c or NONE) and planned(c.s or NONE) then
      return result
    end
  end
  local scheduled = scheduled_before(c.s or NONE)
  if n == 0 and scheduled then
    return { 0, 0 }
  end
  if fresh and scheduled == false then
    return nil
  end
  return { REUSED }
end
