-- Commits as arguments: see commit.lua.
local REUSED, CONFLICT, CONDITION, FENCED, GONE, NO_ROWS, WENT_BACK = 1, 2, 3, 4, 5, 6, 7 -- what refuses a commit

local WRITTEN = { 0, 0 }

local at = 1
local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- How many arguments the entries of a section have; conditions and schedules have as many as they say.
local WIDTH = { c = 5, d = 4, a = 3, r = 5, p = 9, n = 1, x = 1, k = 1, m = 2 }

local function parse_conditions(n)
  local list = {}
  for i = 1, n do
    local u = { after = tonumber(ARGV[at]) }
    u.items, at = parse_items(ARGV, at + 2, tonumber(ARGV[at + 1]))
    list[i] = u
  end
  return list
end

local function parse_schedules(n)
  local list = {}
  for i = 1, n do
    local s = { id = ARGV[at], bytes = ARGV[at + 1], due = ARGV[at + 2], from = at + 3 }
    s.append, at = parse_append(ARGV, at + 3)
    s.to = at - 1
    list[i] = s
  end
  return list
end

-- parse_rows reads rows of a view: the version's table, its indexed columns, and of each row its key, JSON ('' to remove it), and
-- the values of these columns.
local function parse_rows(n)
  local w = { rows = {}, columns = {} }
  w.t = take()
  for i = 1, tonumber(take()) do
    w.columns[i] = take()
  end
  for i = 1, n do
    w.rows[i] = at
    at = at + 2 + #w.columns
  end
  return w
end

local function parse_commit()
  local c = { appends = {} }
  for i = 1, tonumber(take()) do
    c.appends[i], at = parse_append(ARGV, at)
  end
  while true do
    local kind = take()
    if kind == '.' then
      return c
    end
    local n = tonumber(take())
    if kind == 'u' then
      c.u = parse_conditions(n)
    elseif kind == 's' then
      c.s = parse_schedules(n)
    elseif kind == 'w' then
      c.w = parse_rows(n)
    else
      local list, width = {}, WIDTH[kind]
      for i = 1, n do
        list[i] = at
        at = at + width
      end
      c[kind] = list
    end
  end
end
