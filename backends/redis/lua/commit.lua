-- Decides a batch of commits, each by itself: it checks all of a commit before it writes any of it, in the order ids, fences,
-- expectations and conditions. ARGV is the number of commits, and of each the number of its appends, the appends, and
-- sections: a letter, a number, and as many entries; '.' ends them. It returns of each commit 0, its last position and the
-- versions of its streams, or the number of what refuses it and what there is to say of that.

local function apply(c)
  for _, i in ipairs(c.k or NONE) do
    cancel(ARGV[i])
  end
  if c.s then
    local made = c.s[1].id .. #c.s
    for _, s in ipairs(c.s) do
      schedule(s, made)
    end
  end
  parkings(c)
  deliveries(c)
  checkpoints(c)
  if c.m then
    follow(ARGV[c.m[1]], ARGV[c.m[1] + 1])
  end
  if c.w then
    rows(c.w)
  end
  local result, first = { 0, 0 }, head + 1
  for k, a in ipairs(c.appends) do
    result[k + 2] = write(a, first)
    result[2] = head
  end
  return result
end

local outcomes = {}
for k = 1, tonumber(take()) do
  local c = parse_commit()
  local back = c.m and departed(ARGV[c.m[1]], ARGV[c.m[1] + 1])
  if back then
    outcomes[k] = { WENT_BACK, back }
  elseif c.w and not whole_rows(c.w.t, c.w.columns) then
    outcomes[k] = { NO_ROWS }
  else
    outcomes[k] = sent_before(c) or fences(c) or guards(c) or apply(c)
  end
end
finish(rosters, windows)
return outcomes
